-- Version 2: personal fields are sealed under the person's key; audit, blocked addresses, reset tokens.

-- From now on username, display_name, email and preferences are empty: `sealed` holds them. `folded` holds the keyed
-- digest of the folded name. Rows of version 1 are sealed when the database is opened.
ALTER TABLE account ADD COLUMN key_id BLOB;
ALTER TABLE account ADD COLUMN sealed BLOB;
-- Likewise device, ip and user_agent.
ALTER TABLE sign_in ADD COLUMN key_id BLOB;
ALTER TABLE sign_in ADD COLUMN sealed BLOB;

-- One-time tokens that set a password, by their SHA-256. A person has one at most.
CREATE TABLE reset_token (
    user_id    BLOB PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    hash       BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE address_block (
    tenant     BLOB NOT NULL,
    address    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    blocked_at INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    times      INTEGER NOT NULL,
    PRIMARY KEY (tenant, address)
) STRICT, WITHOUT ROWID;

-- The audit trail. Each row's mac covers the one before. `sealed` is what names a person; erased, it is null.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    event_id   BLOB NOT NULL,
    tenant     BLOB NOT NULL,
    event_type TEXT NOT NULL,
    severity   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    user_id    BLOB,
    session_id BLOB,
    request_id TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    details    TEXT NOT NULL,
    commitment BLOB NOT NULL,
    salt       BLOB NOT NULL,
    key_id     BLOB,
    sealed     BLOB,
    mac        BLOB NOT NULL
) STRICT;
CREATE INDEX audit_user ON audit (user_id, seq) WHERE user_id IS NOT NULL;
CREATE INDEX audit_type ON audit (event_type, seq);
CREATE INDEX audit_session ON audit (session_id, seq) WHERE session_id IS NOT NULL;

-- Where the trail begins after pruning: the last row that is gone, its mac, and our signature under both.
CREATE TABLE audit_base (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    seq       INTEGER NOT NULL,
    mac       BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
