-- Version 1: the log, its texts and keys, and the directory. Times are microseconds since 1970; a lease's end is in
-- milliseconds of the database's clock.
CREATE TABLE schema_version (version integer PRIMARY KEY);

-- One row that a health probe writes.
CREATE TABLE probe (id integer PRIMARY KEY CHECK (id = 1), at bigint NOT NULL);

-- Grows with every change of rights, in the change's own transaction: replicas that remember rights ask for it.
CREATE TABLE rights (id integer PRIMARY KEY CHECK (id = 1), version bigint NOT NULL);
INSERT INTO rights VALUES (1, 0);

-- A session as lists show it: a projection of its log, replaced with every append.
CREATE TABLE session (
    session_id    uuid PRIMARY KEY,
    tenant        uuid NOT NULL,
    owner         uuid NOT NULL,
    status        text NOT NULL,
    name_folded   text NOT NULL,
    created_at    bigint NOT NULL,
    last_activity bigint NOT NULL,
    summary       text NOT NULL,
    tags          text[] NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX session_newest ON session (tenant, created_at DESC, session_id DESC);
CREATE INDEX session_owner ON session (tenant, owner);
CREATE INDEX session_running ON session (tenant, session_id) WHERE status = 'running';

-- Allocates seq and names the owner of a session. No index but the key, so that an append updates the row in place.
CREATE TABLE session_head (
    session_id uuid PRIMARY KEY REFERENCES session ON DELETE CASCADE,
    tenant     uuid NOT NULL,
    gen        integer NOT NULL,
    owner      uuid,
    epoch      bigint NOT NULL,
    expires_at bigint NOT NULL,
    last_seq   bigint NOT NULL,
    head_hash  bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE event (
    session_id     uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    seq            bigint NOT NULL,
    gen            integer NOT NULL,
    epoch          bigint NOT NULL,
    kind           text NOT NULL,
    v              integer NOT NULL,
    at             bigint NOT NULL,
    body           text NOT NULL,
    hash           bytea NOT NULL,
    committed_turn bigint,
    command_id     text,
    PRIMARY KEY (session_id, seq)
);
CREATE UNIQUE INDEX event_turn ON event (session_id, committed_turn) WHERE committed_turn IS NOT NULL;
CREATE UNIQUE INDEX event_command ON event (session_id, command_id) WHERE command_id IS NOT NULL;

-- Keys of subjects, wrapped by the master key. A key's id is random and never used again. Rows that are sealed under a
-- key refer to it, so that no replica can seal under a key that another one has just destroyed.
CREATE TABLE subject_key (
    key_id  uuid PRIMARY KEY,
    tenant  uuid NOT NULL,
    scope   text NOT NULL,
    wrapped bytea NOT NULL,
    UNIQUE (scope, tenant)
);

-- The words. Erased: key_id and sealed are null and the salt is zero.
CREATE TABLE event_text (
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    seq        bigint NOT NULL,
    idx        integer NOT NULL,
    field      text NOT NULL,
    subject    text NOT NULL,
    commitment bytea NOT NULL,
    salt       bytea NOT NULL,
    key_id     uuid REFERENCES subject_key,
    sealed     bytea,
    PRIMARY KEY (session_id, seq, idx)
);
CREATE INDEX event_text_person ON event_text (subject) WHERE subject <> 'session';
CREATE INDEX event_text_key ON event_text (key_id) WHERE key_id IS NOT NULL;

CREATE TABLE snapshot (
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    seq        bigint NOT NULL,
    hash       bytea NOT NULL,
    form       integer NOT NULL,
    key_id     uuid NOT NULL REFERENCES subject_key,
    sealed     bytea NOT NULL,
    PRIMARY KEY (session_id, seq)
);
CREATE INDEX snapshot_key ON snapshot (key_id);

-- What names a person is sealed. `folded` is the keyed digest of the folded name.
CREATE TABLE account (
    user_id       uuid PRIMARY KEY,
    tenant        uuid NOT NULL,
    folded        text NOT NULL,
    role          text NOT NULL,
    status        text NOT NULL,
    password_hash text NOT NULL,
    last_login    bigint,
    created_at    bigint NOT NULL,
    key_id        uuid NOT NULL REFERENCES subject_key,
    sealed        bytea NOT NULL,
    UNIQUE (tenant, folded)
);
CREATE INDEX account_newest ON account (tenant, created_at DESC, user_id DESC);
CREATE INDEX account_key ON account (key_id);

-- Device, address and user agent are sealed.
CREATE TABLE sign_in (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at bigint NOT NULL,
    last_seen  bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked    boolean NOT NULL,
    key_id     uuid NOT NULL REFERENCES subject_key,
    sealed     bytea NOT NULL
);
CREATE INDEX sign_in_user ON sign_in (user_id);
CREATE INDEX sign_in_key ON sign_in (key_id);

-- Refresh tokens by their SHA-256. A spent one names its successor.
CREATE TABLE refresh_token (
    hash      bytea PRIMARY KEY,
    sign_in   uuid NOT NULL REFERENCES sign_in ON DELETE CASCADE,
    spent_at  bigint,
    successor bytea
);
CREATE INDEX refresh_token_sign_in ON refresh_token (sign_in);

CREATE TABLE membership (
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    user_id    uuid NOT NULL,
    relation   text NOT NULL,
    PRIMARY KEY (session_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id);

CREATE TABLE stored_cast (
    tenant  uuid NOT NULL,
    id      text NOT NULL,
    version integer NOT NULL,
    owner   text,
    body    text NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE setting (key text PRIMARY KEY, value bytea NOT NULL);
