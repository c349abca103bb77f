-- Version 3: what people may spend on models, values that are secrets as a whole, forks by their parent, erasures.

-- Of a user, or of the whole tenant where user_id is all ones. A row that is not `limited` has the installation's limits.
CREATE TABLE allowance (
    tenant     uuid NOT NULL,
    user_id    uuid NOT NULL,
    limited    boolean NOT NULL,
    max_tokens bigint,
    max_cost   double precision,
    tokens     bigint NOT NULL,
    cost       double precision NOT NULL,
    PRIMARY KEY (tenant, user_id)
);

-- Each under a key of its own.
CREATE TABLE sealed_value (
    tenant uuid NOT NULL,
    kind   text NOT NULL,
    id     text NOT NULL,
    key_id uuid NOT NULL REFERENCES subject_key,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);
CREATE INDEX sealed_value_key ON sealed_value (key_id);

ALTER TABLE session ADD COLUMN parent uuid;
CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;

-- Erasures that were done in this database, written with them; session_id is all zero for one that reaches all sessions.
-- What a journal beside a data directory holds and this table does not, a restored backup has undone.
CREATE TABLE erasure (
    session_id uuid NOT NULL,
    subject    text NOT NULL,
    at         bigint NOT NULL,
    PRIMARY KEY (subject, session_id, at)
);
