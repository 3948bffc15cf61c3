"""`aios setup`: the user, the first configuration and an imported one, as steps that can be shown, done and undone.

Read in this order: `steps` (what one step is), `plan` (which there are), `importing` (a founding `config.toml` as rules
of ours), `record` (what was done, so that it can be undone). Only root runs this; no daemon does.
"""
