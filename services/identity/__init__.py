"""Identities: certificates, enrolment tokens, callers and what proves a name."""
