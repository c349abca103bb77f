-- What was spent, in parts that are added up. Every turn charges its user and the tenant: in one row each, all turns of a
-- tenant would wait for one another's commits. What `allowance` has counted up to this version, and what a program of
-- the version before still counts there, is added.
CREATE TABLE spent (
    tenant  uuid NOT NULL,
    user_id uuid NOT NULL,
    part    integer NOT NULL,
    tokens  bigint NOT NULL,
    cost    double precision NOT NULL,
    PRIMARY KEY (tenant, user_id, part)
);

CREATE VIEW allowance_in_all AS
    SELECT tenant, user_id, bool_or(limited) AS limited, max(max_tokens) AS max_tokens, max(max_cost) AS max_cost,
           least(sum(tokens), 9223372036854775807)::bigint AS tokens, sum(cost) AS cost
    FROM (SELECT tenant, user_id, limited, max_tokens, max_cost, tokens, cost FROM allowance
          UNION ALL
          SELECT tenant, user_id, false, NULL, NULL, tokens, cost FROM spent) AS parts
    GROUP BY tenant, user_id;
