"""Identities: certificates, enrolment tokens, and the callers that they prove."""
