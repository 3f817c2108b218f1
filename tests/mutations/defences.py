"""All of them: at least one for each row of SECURITY.md's table, and for each fault in docs/faults.rst."""

from tests.mutations import bounds, contents, entry, faults, passwords

MUTATIONS = (
    *entry.MUTATIONS,
    *passwords.MUTATIONS,
    *bounds.MUTATIONS,
    *contents.MUTATIONS,
    *faults.MUTATIONS,
)
