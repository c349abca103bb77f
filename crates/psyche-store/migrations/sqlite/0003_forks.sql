-- Version 3: the forks of a session are found by their parent.
CREATE INDEX session_parent ON session (summary ->> '$.parent.session_id')
    WHERE summary ->> '$.parent.session_id' IS NOT NULL;
