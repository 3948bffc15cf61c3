"""The login room: the hook that pam_exec starts (`hook`), and the line that makes it so (`pam`)."""
