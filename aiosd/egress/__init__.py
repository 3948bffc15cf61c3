"""The egress room: the only way out of a sandbox that may reach the network, and the rules of whom it reaches.

Read in this order: `hosts` (what a host's name or address is, however it is spelled), `rules` (who is allowed and who
is not), `proxy` (HTTP and SOCKS5 onto one decision), `relay` (bytes between two sockets), `desk` (a listener of one
sandbox, as the guard hands it over), `asked` (hosts that no list names, put to a person).
"""
