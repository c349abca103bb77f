-- Version 3: what people may spend on models, values that are secrets as a whole, forks by their parent.

-- Of a user, or of the whole tenant where user_id is empty. A row whose `limited` is 0 has the installation's limits.
CREATE TABLE allowance (
    tenant     BLOB NOT NULL,
    user_id    BLOB NOT NULL,
    limited    INTEGER NOT NULL,
    max_tokens INTEGER,
    max_cost   REAL,
    tokens     INTEGER NOT NULL,
    cost       REAL NOT NULL,
    PRIMARY KEY (tenant, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO allowance (tenant, user_id, limited, tokens, cost)
    SELECT tenant, owner, 0, sum(json_extract(summary, '$.spent.tokens')), total(json_extract(summary, '$.spent.cost'))
    FROM session GROUP BY tenant, owner;
INSERT INTO allowance (tenant, user_id, limited, tokens, cost)
    SELECT tenant, x'', 0, sum(tokens), total(cost) FROM allowance GROUP BY tenant;

-- Each under a key of its own.
CREATE TABLE sealed_value (
    tenant BLOB NOT NULL,
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE session ADD COLUMN parent BLOB;
CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;
