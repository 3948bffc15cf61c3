"""The presets, each a policy file over the vendor's defaults; `preset = "NAME"` in a policy file chooses one."""
