-- A session in which commands wait for a decision is looked for like one that runs: its owner may be gone. A program of the
-- version before finds those that run by the same index.
ALTER TABLE session ADD COLUMN waiting boolean NOT NULL DEFAULT false;
CREATE INDEX session_claimable ON session (tenant, session_id) WHERE status = 'running' OR waiting;
DROP INDEX session_running;
