-- Version 2: audit, blocked addresses, reset tokens.

-- One-time tokens that set a password, by their SHA-256. A person has one at most.
CREATE TABLE reset_token (
    user_id    uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    hash       bytea NOT NULL UNIQUE,
    expires_at bigint NOT NULL
);

CREATE TABLE address_block (
    tenant     uuid NOT NULL,
    address    text NOT NULL,
    reason     text NOT NULL,
    blocked_at bigint NOT NULL,
    until      bigint NOT NULL,
    times      integer NOT NULL,
    PRIMARY KEY (tenant, address)
);

-- The audit trail. Each row's mac covers the one before. `sealed` is what names a person; erased, it is null.
CREATE TABLE audit (
    seq        bigint PRIMARY KEY,
    event_id   uuid NOT NULL,
    tenant     uuid NOT NULL,
    event_type text NOT NULL,
    severity   text NOT NULL,
    at         bigint NOT NULL,
    user_id    uuid,
    session_id uuid,
    request_id text NOT NULL,
    outcome    text NOT NULL,
    details    text NOT NULL,
    commitment bytea NOT NULL,
    salt       bytea NOT NULL,
    key_id     uuid REFERENCES subject_key,
    sealed     bytea,
    mac        bytea NOT NULL
);
CREATE INDEX audit_user ON audit (user_id, seq) WHERE user_id IS NOT NULL;
CREATE INDEX audit_type ON audit (event_type, seq);
CREATE INDEX audit_session ON audit (session_id, seq) WHERE session_id IS NOT NULL;
CREATE INDEX audit_key ON audit (key_id) WHERE key_id IS NOT NULL;

-- Where the trail begins after pruning: the last row that is gone, its mac, and our signature under both.
CREATE TABLE audit_base (
    id        integer PRIMARY KEY CHECK (id = 1),
    seq       bigint NOT NULL,
    mac       bytea NOT NULL,
    signature bytea NOT NULL
);

-- Held while rows are added: replicas add to one chain.
CREATE TABLE audit_gate (id integer PRIMARY KEY CHECK (id = 1));
INSERT INTO audit_gate VALUES (1);
