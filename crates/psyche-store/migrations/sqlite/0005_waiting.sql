-- A session in which commands wait for a decision is looked for like one that runs: its owner may be gone. The twin of this
-- file has a column for it; here the summary tells.
CREATE INDEX session_claimable ON session (tenant, session_id)
    WHERE status = 'running' OR json_extract(summary, '$.waiting') > 0;
DROP INDEX session_running;
