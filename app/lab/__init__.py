"""The lab: members, projects, and how one signs in."""
