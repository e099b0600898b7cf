"""Everything FastAPI that is not a feature: sessions, rendering, security, errors, sign-in."""
