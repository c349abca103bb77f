-- Version 1: the log, its texts and keys, and the directory. Times are microseconds since 1970; a lease's end is in
-- milliseconds of the database's clock. Ids are 16 bytes.
CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT;

-- One row that a health probe writes.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;

-- A session as lists show it: a projection of its log, replaced with every append.
CREATE TABLE session (
    session_id    BLOB PRIMARY KEY,
    tenant        BLOB NOT NULL,
    owner         BLOB NOT NULL,
    status        TEXT NOT NULL,
    name_folded   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    last_activity INTEGER NOT NULL,
    summary       TEXT NOT NULL
) STRICT;
CREATE INDEX session_newest ON session (tenant, created_at DESC, session_id DESC);
CREATE INDEX session_owner ON session (tenant, owner);
CREATE INDEX session_running ON session (tenant) WHERE status = 'running';

-- What was deleted, so that the high-water file does not take it for lost.
CREATE TABLE deleted_session (session_id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

-- Allocates seq and names the owner of a session.
CREATE TABLE session_head (
    session_id BLOB PRIMARY KEY REFERENCES session ON DELETE CASCADE,
    tenant     BLOB NOT NULL,
    gen        INTEGER NOT NULL,
    owner      BLOB,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    head_hash  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Clustered by session: a read of a log is one range of pages.
CREATE TABLE event (
    session_id     BLOB NOT NULL REFERENCES session ON DELETE CASCADE,
    seq            INTEGER NOT NULL,
    gen            INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    v              INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    body           TEXT NOT NULL,
    hash           BLOB NOT NULL,
    committed_turn INTEGER,
    command_id     TEXT,
    PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX event_turn ON event (session_id, committed_turn) WHERE committed_turn IS NOT NULL;
CREATE UNIQUE INDEX event_command ON event (session_id, command_id) WHERE command_id IS NOT NULL;

-- Keys of subjects, wrapped by the master key. A key's id is random and never used again.
CREATE TABLE subject_key (
    key_id  BLOB PRIMARY KEY,
    tenant  BLOB NOT NULL,
    scope   TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    UNIQUE (scope, tenant)
) STRICT;

-- The words. Erased: key_id and sealed are null and the salt is zero.
CREATE TABLE event_text (
    session_id BLOB NOT NULL REFERENCES session ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    field      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    commitment BLOB NOT NULL,
    salt       BLOB NOT NULL,
    key_id     BLOB,
    sealed     BLOB,
    PRIMARY KEY (session_id, seq, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_text_person ON event_text (subject) WHERE subject <> 'session';

CREATE TABLE snapshot (
    session_id BLOB NOT NULL REFERENCES session ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    form       INTEGER NOT NULL,
    key_id     BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT;

CREATE TABLE account (
    user_id       BLOB PRIMARY KEY,
    tenant        BLOB NOT NULL,
    username      TEXT NOT NULL,
    folded        TEXT NOT NULL,
    display_name  TEXT NOT NULL,
    email         TEXT NOT NULL,
    role          TEXT NOT NULL,
    status        TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    preferences   TEXT NOT NULL,
    last_login    INTEGER,
    created_at    INTEGER NOT NULL,
    UNIQUE (tenant, folded)
) STRICT;
CREATE INDEX account_newest ON account (tenant, created_at DESC, user_id DESC);

CREATE TABLE sign_in (
    id         BLOB PRIMARY KEY,
    user_id    BLOB NOT NULL REFERENCES account ON DELETE CASCADE,
    device     TEXT NOT NULL,
    ip         TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked    INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_user ON sign_in (user_id);

-- Refresh tokens by their SHA-256. A spent one names its successor.
CREATE TABLE refresh_token (
    hash      BLOB PRIMARY KEY,
    sign_in   BLOB NOT NULL REFERENCES sign_in ON DELETE CASCADE,
    spent_at  INTEGER,
    successor BLOB
) STRICT;
CREATE INDEX refresh_token_sign_in ON refresh_token (sign_in);

CREATE TABLE membership (
    session_id BLOB NOT NULL REFERENCES session ON DELETE CASCADE,
    user_id    BLOB NOT NULL,
    relation   TEXT NOT NULL,
    PRIMARY KEY (session_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_user ON membership (user_id);

CREATE TABLE stored_cast (
    tenant  BLOB NOT NULL,
    id      TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE setting (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
