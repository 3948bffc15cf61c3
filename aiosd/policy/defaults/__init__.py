"""The vendor's policy, installed as /usr/lib/aios/policy.d. This package holds no code: `files` reads the directory."""
