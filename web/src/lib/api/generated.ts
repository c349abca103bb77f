// Written by `npm run codegen` from openapi.json. Do not edit.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Affect: {
            /**
             * Format: double
             * @description With the sentiment's score, 0 to 1.
             */
            agreement: number;
            /**
             * Format: double
             * @description −1 to 1.
             */
            valence: number;
            /**
             * Format: int32
             * @description Version of the weights.
             */
            version: number;
        };
        Agent: {
            colour?: components["schemas"]["Colour"];
            /** @description One reply in role, shown to very small models when there are no `examples`. */
            example?: string | null;
            /** @description Exchanges in role, shown to very small models. */
            examples?: components["schemas"]["Example"][] | null;
            /** @description A slug such as `shadow`. */
            id: string;
            /** @description The last line of a very small model's prompt: how to answer. */
            manner?: string | null;
            model?: string | null;
            muted?: boolean;
            name: string;
            /** @description Beginnings of a reply, by adaptation rule. */
            openers?: {
                [key: string]: string[];
            } | null;
            /** @description `circle inverted_triangle square diamond star hexagon` */
            shape?: string;
            system_prompt: string;
            /**
             * Format: double
             * @description 0 to 2.
             */
            temperature?: number;
        };
        /** @enum {string} */
        AgentActivity: "waiting" | "processing" | "active" | "integrating" | "muted" | "failed";
        AgentPatch: {
            /** @description Empty: the session's own model again. */
            model?: string | null;
            muted?: boolean | null;
            system_prompt?: string | null;
            /**
             * Format: double
             * @description 0 to 2.
             */
            temperature?: number | null;
        };
        /** @description How an agent's model did. */
        AgentPerformance: {
            /** Format: int64 */
            abandoned: number;
            agent_id: string;
            /** Format: double */
            cost: number;
            /** @description Failed model calls by kind. */
            failures: {
                [key: string]: number;
            };
            latency: components["schemas"]["Latency"];
            /**
             * Format: double
             * @description Geometric mean probability of a token, where the model tells it.
             */
            mean_confidence?: number | null;
            /** Format: double */
            mean_sentiment?: number | null;
            /** Format: double */
            mean_words?: number | null;
            /** @description The models that spoke for it. */
            models: string[];
            /**
             * Format: int64
             * @description Turns that needed more than one attempt.
             */
            retried: number;
            sentiment_interval?: number[] | null;
            /**
             * Format: int64
             * @description Charged, failed calls included.
             */
            tokens: number;
            /**
             * Format: int64
             * @description Utterances that were cut off.
             */
            truncated: number;
            utterances: number;
        };
        AgentState: {
            /** Format: double */
            confidence?: number | null;
            current_thought?: string | null;
            guidance: string[];
            /** @description Utterances it hears at present, as `seq`. */
            inbox: number[];
            last_action: string;
            last_utterance?: string | null;
            model?: string | null;
            muted: boolean;
            name: string;
            /** @description Adaptation rules in force. */
            rules: string[];
            /** Format: double */
            sentiment?: number | null;
            state: components["schemas"]["AgentActivity"];
            system_prompt: string;
            /** Format: double */
            temperature: number;
            /** Format: int64 */
            utterances: number;
        };
        Alert: {
            alert_id: string;
            ip_address?: string | null;
            message: string;
            rule: string;
            severity: components["schemas"]["Severity"];
            /** Format: date-time */
            timestamp: string;
            user_id?: string | null;
            username?: string | null;
        };
        Alive: {
            alive: boolean;
        };
        /** @description What happened in a session between two events. */
        Analysis: {
            agents: components["schemas"]["AgentPerformance"][];
            /** @description Utterances whose words were erased: they count as turns and have no words. */
            erased: number;
            /**
             * Format: int64
             * @description The first and the last event that were looked at.
             */
            from: number;
            /** Format: int32 */
            gen: number;
            influence: components["schemas"]["Influence"];
            interventions: components["schemas"]["Intervention"][];
            matrix: components["schemas"]["TalkMatrix"];
            /** @description By name. */
            measures: {
                [key: string]: components["schemas"]["MeasureSummary"];
            };
            /** @description What a reader must know of the whole. */
            notes: string[];
            quality: components["schemas"]["Quality"];
            session_id: string;
            shares: components["schemas"]["Shares"];
            style: components["schemas"]["Style"];
            /** Format: int64 */
            to: number;
            trends: components["schemas"]["TrendLine"][];
            turning_points: components["schemas"]["TurningPoint"][];
            utterances: number;
            /** Format: int32 */
            version: number;
        };
        Annotate: {
            /**
             * Format: int64
             * @description The event it is about.
             */
            seq: number;
            tags?: string[];
            text: string;
        };
        Audit: {
            details: Record<string, never>;
            event_id: string;
            event_type: string;
            ip_address?: string | null;
            outcome: components["schemas"]["AuditOutcome"];
            request_id: string;
            /** Format: int64 */
            seq: number;
            session_id?: string | null;
            severity: components["schemas"]["Severity"];
            /** Format: date-time */
            timestamp: string;
            user_id?: string | null;
            /** @description `[erased]` once the person is. */
            username?: string | null;
        };
        AuditCheck: {
            checkpoint?: components["schemas"]["AuditCheckpoint"] | null;
            /** Format: int64 */
            first_seq: number;
            /** Format: int64 */
            last_seq: number;
            problems: components["schemas"]["AuditProblem"][];
            /** Format: int64 */
            rows: number;
            whole: boolean;
        };
        AuditCheckpoint: {
            /** Format: int64 */
            seq: number;
            /** Format: date-time */
            timestamp: string;
        };
        /** @enum {string} */
        AuditOrder: "oldest" | "newest";
        /** @enum {string} */
        AuditOutcome: "success" | "failure" | "denied";
        AuditProblem: {
            /** Format: int64 */
            seq: number;
            what: string;
        };
        /** @description How evenly: Gini over the agents, 0 = evenly, (n − 1)/n = one of n speaks alone. */
        Balance: {
            /** @description How often another agent took the lead in words. */
            dominance_switches: number;
            /**
             * Format: double
             * @description Absent where the schedule decides who speaks.
             */
            gini_utterances?: number | null;
            /** Format: double */
            gini_words?: number | null;
            note?: string | null;
        };
        /**
         * @description What became of somebody's belonging to a session.
         * @enum {string}
         */
        Belonging: "created" | "joined" | "updated" | "left" | "terminated";
        BlockedAddress: {
            /** Format: date-time */
            blocked_at: string;
            /** @description An IPv4 address, or the first one of an IPv6 /64. */
            ip: string;
            reason: string;
            /**
             * Format: int32
             * @description How often it has been blocked.
             */
            times: number;
            /** Format: date-time */
            until: string;
        };
        BothFactors: {
            /** @description A code of the device, or a recovery code. */
            otp: string;
            password: string;
        };
        Budget: {
            /** Format: double */
            cost?: number | null;
            /** Format: int64 */
            tokens?: number | null;
        };
        Cast: {
            agents: components["schemas"]["Agent"][];
            conscious_voice?: string | null;
            /** Format: date-time */
            created_at?: string | null;
            description: string;
            id: string;
            name: string;
            owner?: string | null;
            paths: components["schemas"]["Path"][];
            situation: string;
            stimuli: components["schemas"]["StimulusPreset"][];
            thresholds: components["schemas"]["Thresholds"];
            /** Format: int32 */
            version: number;
        };
        CastDigest: {
            /** @description SHA-256 of the cast as its session keeps it; null once texts of it were erased. */
            digest?: string | null;
            id: string;
            /** Format: int32 */
            version: number;
        };
        /** @description A cast as it is sent. Owner, version and date are the server's. */
        CastDraft: {
            agents: components["schemas"]["Agent"][];
            /** @description The agent whose words enter the next round's situation. */
            conscious_voice?: string | null;
            /** Format: date-time */
            created_at?: string | null;
            description?: string;
            id: string;
            name: string;
            owner?: string | null;
            paths?: components["schemas"]["Path"][];
            situation?: string;
            stimuli?: components["schemas"]["StimulusPreset"][];
            thresholds?: components["schemas"]["Thresholds"] | null;
            /**
             * Format: int64
             * @description Wider than what is taken: unsigned numbers have no format of their own.
             */
            version?: number;
        };
        ChatMessage: {
            content: string;
            role: components["schemas"]["ChatRole"];
        };
        /** @enum {string} */
        ChatRole: "system" | "user" | "assistant";
        /** @enum {string} */
        CircuitState: "closed" | "open" | "half_open";
        /** @description Everything a client may send. `id` is optional and echoed. */
        ClientMessage: {
            id?: string | null;
            subscribe?: components["schemas"]["Subscription"] | null;
            token: string;
            /** @enum {string} */
            type: "auth";
        } | {
            cursor?: components["schemas"]["Cursor"] | null;
            deltas?: boolean | null;
            events?: string[] | null;
            id?: string | null;
            /** @enum {string} */
            type: "subscribe";
        } | {
            args?: unknown;
            command: string;
            id?: string | null;
            /** @enum {string} */
            type: "agent_command";
        } | {
            action: components["schemas"]["Interaction"];
            data?: unknown;
            id?: string | null;
            /** @enum {string} */
            type: "ui_interaction";
        } | {
            id?: string | null;
            /** @enum {string} */
            type: "ping";
        };
        Code: {
            otp: string;
        };
        Colour: {
            /** @example #99b7ee */
            dark: string;
            /** @example #2d5aa8 */
            light: string;
        };
        CommandBody: {
            args?: Record<string, never> | null;
            /** @description `start pause resume step stop reset inject_stimulus speak retry interview` */
            command: string;
            /** @description The client's own name for the command: the same one is carried out once. */
            command_id?: string | null;
        };
        Commanded: {
            interview?: components["schemas"]["Interview"] | null;
            /**
             * Format: int64
             * @description The event that holds the command; of an interview, the event after which the agent was asked.
             */
            seq: number;
        };
        /** @description The past of all runs: events 1 to `seq` of any of them. All are 0 where they share nothing. */
        CommonPast: {
            /** Format: int64 */
            round: number;
            /** Format: int64 */
            seq: number;
            /**
             * Format: int64
             * @description The last turn that was over by then.
             */
            turn: number;
        };
        /** @description A turn of one run. */
        ComparedCell: {
            /** @description How much higher each standardised gauge is than in the first run at the same turn, where both have it. */
            deltas?: {
                [key: string]: number;
            } | null;
            /**
             * @description What happened in it since the utterance before: stimuli, people's words, changes, emergencies, failures. Of many,
             *     the last fifty.
             */
            events: components["schemas"]["StoredFrame"][];
            gauges?: {
                [key: string]: components["schemas"]["Gauge"];
            } | null;
            message?: components["schemas"]["StoredFrame"] | null;
        };
        ComparedRun: {
            /**
             * Format: int64
             * @description How many events it shares with the first.
             */
            common_seq: number;
            session: components["schemas"]["Session"];
        };
        /** @description Two to six runs side by side. */
        ComparedRuns: {
            common: components["schemas"]["CommonPast"];
            /** @description From the first turn on that is not common. */
            items: components["schemas"]["ComparedTurn"][];
            next_cursor?: string | null;
            /** @description In the order in which they were asked for. */
            runs: components["schemas"]["ComparedRun"][];
        };
        ComparedTurn: {
            /** @description One per run, in their order. */
            cells: components["schemas"]["ComparedCell"][];
            /** Format: int64 */
            turn: number;
        };
        /** @description Condition b against condition a. */
        Comparison: {
            /** @description The tag of each condition, and how many runs have it. */
            a: string;
            b: string;
            measures: components["schemas"]["Contrast"][];
            n_a: number;
            n_b: number;
            notes: string[];
            /** @description Runs with the same seed were compared with each other. */
            paired: boolean;
        };
        Component: {
            /** @description Only for those who may monitor the system. */
            connections?: number | null;
            status: components["schemas"]["Status"];
        };
        Components: {
            bus: components["schemas"]["Component"];
            model: components["schemas"]["Component"];
            store: components["schemas"]["Component"];
            websocket: components["schemas"]["Component"];
        };
        Conditions: {
            a: string;
            b: string;
        };
        Configuration: {
            /** @description What all users together may spend on models. A limit that is absent is none. */
            budget: components["schemas"]["Budget"];
            /** @description Who may make an account: everybody, or admins for them. */
            registration: components["schemas"]["Registration"];
            /** @description What they have spent. */
            spent: components["schemas"]["Spent"];
            /** @description What a user may spend who has no budget of their own; the configuration file says it. */
            user_budget: components["schemas"]["Budget"];
        };
        /** @description What is given is changed. */
        ConfigurationPatch: {
            budget?: components["schemas"]["Budget"] | null;
            registration?: components["schemas"]["Registration"] | null;
        };
        Connection: {
            active: boolean;
            from: string;
            kind: components["schemas"]["PathKind"];
            /**
             * Format: double
             * @description 0 to 1.
             */
            strength: number;
            to: string;
        };
        Consent: {
            /** Format: date-time */
            at: string;
            version: string;
        };
        /** @description One measure in both conditions. n counts runs. */
        Contrast: {
            /**
             * Format: double
             * @description Mean of b − mean of a, with its t interval.
             */
            difference?: number | null;
            difference_interval?: number[] | null;
            /**
             * Format: double
             * @description Hedges' g of b − a, with its BCa interval.
             */
            g?: number | null;
            g_interval?: number[] | null;
            /** Format: double */
            mean_a?: number | null;
            /** Format: double */
            mean_b?: number | null;
            measure: string;
            n_a: number;
            n_b: number;
            note?: string | null;
            /** Format: double */
            p_benjamini_hochberg?: number | null;
            /** Format: double */
            p_holm?: number | null;
            /**
             * Format: double
             * @description Welch's test, or the paired t-test.
             */
            p_means?: number | null;
            /**
             * Format: double
             * @description Mann–Whitney, or Wilcoxon.
             */
            p_ranks?: number | null;
            turns?: components["schemas"]["TurnLevel"] | null;
        };
        /** @description Frames that are not stored and have no `prev`. */
        ControlFrame: {
            /** Format: date-time */
            expires_at: string;
            id?: string | null;
            /** @enum {string} */
            type: "auth_ok";
            user: components["schemas"]["SignedInUser"];
        } | {
            /** Format: int32 */
            gen: number;
            reason: components["schemas"]["SnapshotReason"];
            /** Format: int64 */
            seq: number;
            session: components["schemas"]["Session"];
            session_id: string;
            state: components["schemas"]["State"];
            /** @enum {string} */
            type: "snapshot";
        } | {
            /** Format: int32 */
            gen: number;
            /** Format: int64 */
            seq: number;
            session_id: string;
            /** @enum {string} */
            type: "resume";
        } | {
            /** Format: int32 */
            gen: number;
            /** Format: int64 */
            seq: number;
            /** @enum {string} */
            type: "position";
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            /** Format: int32 */
            index: number;
            session_id: string;
            text: string;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "delta";
        } | {
            id?: string | null;
            interview?: components["schemas"]["Interview"] | null;
            /** Format: int64 */
            seq: number;
            /** @enum {string} */
            type: "ack";
        } | {
            code: components["schemas"]["ErrorKind"];
            id?: string | null;
            message: string;
            /** @enum {string} */
            type: "error";
        } | {
            /** Format: date-time */
            expires_at: string;
            /** @enum {string} */
            type: "auth_required";
        } | {
            /**
             * Format: int64
             * @description How many there are. Of a crowd, `users` names the first hundred.
             */
            count: number;
            session_id: string;
            /** @enum {string} */
            type: "presence";
            users: components["schemas"]["Present"][];
        } | {
            id?: string | null;
            /** @enum {string} */
            type: "pong";
        } | {
            /** Format: int32 */
            code: number;
            cursor?: components["schemas"]["Place"] | null;
            /** Format: int64 */
            retry_after_ms: number;
            /** @enum {string} */
            type: "bye";
        } | {
            active_agents: string[];
            resource_usage: components["schemas"]["ResourceUsage"];
            session_id?: string | null;
            /**
             * Format: int64
             * @description On `/ws/system` only.
             */
            sessions_running?: number | null;
            status: components["schemas"]["SystemHealth"];
            /** Format: date-time */
            timestamp: string;
            /** @enum {string} */
            type: "system_status";
            /**
             * Format: int64
             * @description On `/ws/system` only.
             */
            websocket_connections?: number | null;
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            session_id: string;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "agent_processing_started";
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            session_id: string;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "agent_processing_complete";
        } | {
            /** @description `login logout registration password_change` */
            action: string;
            metadata: Record<string, never>;
            role?: components["schemas"]["Role"] | null;
            success: boolean;
            /** Format: date-time */
            timestamp: string;
            /** @enum {string} */
            type: "user_auth";
            user_id?: string | null;
            username: string;
        } | (components["schemas"]["Audit"] & {
            /** @enum {string} */
            type: "audit";
        }) | (components["schemas"]["Alert"] & {
            /** @enum {string} */
            type: "alert";
        });
        CreatedUser: {
            /** Format: date-time */
            expires_at: string;
            /** @description Shown once: to be handed over. */
            reset_token: string;
            user: components["schemas"]["User"];
        };
        /** @description A place in a session's log. */
        Cursor: {
            /** Format: int32 */
            gen: number;
            /** Format: int64 */
            seq: number;
        };
        /** @description What is wrong with one field. Never holds what was sent. */
        Detail: {
            field: string;
            /** @description 1-based line in a text that was sent, where known. */
            line?: number | null;
            message: string;
        };
        /** @enum {string} */
        Determinism: "tape" | "local" | "api";
        Device: {
            /** Format: date-time */
            created_at: string;
            /** @description The sign-in that asks. */
            current: boolean;
            device_id: string;
            ip: string;
            /** Format: date-time */
            last_seen: string;
            name: string;
            user_agent: string;
        };
        /** @description How a measure is spread over runs. */
        Distribution: {
            /** @description Of the mean, 95 %. */
            interval?: number[] | null;
            /** Format: double */
            mean?: number | null;
            /** @description Runs with a value. */
            n: number;
            /** @description Smallest, lower quartile, median, upper quartile, largest. */
            quartiles?: number[] | null;
            /** Format: double */
            standard_deviation?: number | null;
        };
        Done: {
            message: string;
            /** @example success */
            status: string;
        };
        Edge: {
            from: string;
            to: string;
        };
        /** @enum {string} */
        EmergencyAction: "opened" | "closed";
        /** @enum {string} */
        EmergencyLevel: "emergency" | "critical";
        EmergencyState: {
            level?: components["schemas"]["EmergencyLevel"] | null;
            open: boolean;
            /**
             * Format: int32
             * @description Rounds in a row above the threshold.
             */
            rounds_above: number;
            /** Format: int64 */
            since_round?: number | null;
        };
        Enrolment: {
            /** @description The same as a link; a QR code shows it. */
            otpauth_url: string;
            /** @description To be typed into an authenticator app. */
            secret: string;
        };
        ErrorBody: {
            /**
             * Format: int32
             * @description The HTTP status.
             * @example 404
             */
            code: number;
            /** @description With 422: which fields, and why. */
            details?: components["schemas"]["Detail"][];
            kind: components["schemas"]["ErrorKind"];
            message: string;
            /** @description Without the query. */
            path: string;
            request_id: string;
            /** Format: date-time */
            timestamp: string;
        };
        ErrorEnvelope: {
            error: components["schemas"]["ErrorBody"];
        };
        /**
         * @description The words for what went wrong, the same in answers and on sockets.
         * @enum {string}
         */
        ErrorKind: "bad_request" | "unauthenticated" | "forbidden" | "not_found" | "method_not_allowed" | "conflict" | "payload_too_large" | "unsupported_media_type" | "invalid" | "rate_limited" | "internal" | "unavailable";
        EventPage: {
            items: components["schemas"]["StoredFrame"][];
            /** @description The last `seq`, to go on after. */
            next_cursor?: string | null;
        };
        Example: {
            cue: string;
            reply: string;
        };
        /** @description A session exported as JSON. */
        ExportDocument: {
            /** @description Frames as clients of the socket get them. */
            events: components["schemas"]["StoredFrame"][];
            provenance: components["schemas"]["Provenance"];
        };
        /** @enum {string} */
        ExportFormat: "json" | "jsonl" | "csv" | "markdown" | "html" | "parquet" | "pdf";
        /** @enum {string} */
        Finish: "stop" | "length" | "filtered";
        /** @description Where a straight line leads, with the interval that a single value will lie in. */
        Foretold: {
            interval: number[];
            /** @description Utterances after the last point. */
            utterances_ahead: number;
            /** Format: double */
            value: number;
        };
        ForkBody: {
            /**
             * Format: int64
             * @description The last event that both share. Any event will do: a turn whose words are said by then is closed, one whose words
             *     are not begins again.
             */
            at_seq: number;
            changes?: components["schemas"]["ForkChanges"] | null;
            /** @description The name it has there when absent. */
            name?: string | null;
        };
        /** @description What the fork does differently; absent fields stay. */
        ForkChanges: {
            /** @description By agent. */
            agents?: {
                [key: string]: components["schemas"]["AgentPatch"];
            } | null;
            model?: string | null;
            paths?: components["schemas"]["Path"][] | null;
            /** Format: int64 */
            seed?: number | null;
            situation?: string | null;
        };
        ForkedAgent: {
            model?: string | null;
            muted?: boolean | null;
            system_prompt?: string | null;
            /** Format: double */
            temperature?: number | null;
        };
        /** @description What a fork does differently; absent fields stay. */
        ForkedChanges: {
            /** @description By agent. */
            agents?: {
                [key: string]: components["schemas"]["ForkedAgent"];
            } | null;
            model?: string | null;
            paths?: components["schemas"]["Path"][] | null;
            /** Format: int64 */
            seed?: number | null;
            situation?: string | null;
        };
        Gauge: {
            alarm?: components["schemas"]["GaugeAlarm"] | null;
            /** @description The parts of `value`, by name. */
            components?: {
                [key: string]: number;
            } | null;
            /** @description The 95 % confidence interval of `value`. */
            interval?: number[] | null;
            /** @description `low moderate high` */
            level?: string | null;
            /** @description The null's interval. */
            null?: number[] | null;
            /** Format: double */
            standardised?: number | null;
            /** Format: double */
            value?: number | null;
        };
        /** @description Whether a gauge has been at its bad end for longer than chance explains. */
        GaugeAlarm: {
            /**
             * Format: double
             * @description The false alarms in 100 turns of healthy talk this alarm is set for.
             */
            false_alarms_per_100: number;
            raised: boolean;
            /**
             * Format: double
             * @description 0 to 2; the alarm is raised from 1 on.
             */
            sum: number;
        };
        Health: {
            components: components["schemas"]["Components"];
            status: components["schemas"]["Status"];
            /** Format: date-time */
            timestamp: string;
            /** @description Only for those who may monitor the system. */
            version?: string | null;
        };
        /** @description Many runs together. */
        History: {
            comparison?: components["schemas"]["Comparison"] | null;
            distributions: {
                [key: string]: components["schemas"]["Distribution"];
            };
            /** @description Runs that were looked at. */
            n: number;
            notes: string[];
            /** @description The oldest first. */
            runs: components["schemas"]["Run"][];
            /** @description Over the runs in the order in which they were made. */
            trends: components["schemas"]["RunTrend"][];
            /** Format: int32 */
            version: number;
        };
        /** @description A history, as far as it is. */
        HistoryJob: {
            /** @description Sessions that were analysed anew; the others had not changed since they last were. */
            analysed: number;
            /** @description Sessions looked at, of how many. */
            done: number;
            history?: components["schemas"]["History"] | null;
            history_id: string;
            /** @description Why it failed. */
            message?: string | null;
            /** @description Sessions that could not be analysed, and why. */
            skipped: components["schemas"]["Skipped"][];
            status: components["schemas"]["JobStatus"];
            total: number;
        };
        /** @description Which sessions, of those the caller belongs to. */
        HistoryRequest: {
            cast_id?: string | null;
            compare?: components["schemas"]["Conditions"] | null;
            /**
             * Format: date-time
             * @description Made up to this moment.
             */
            end_time?: string | null;
            /**
             * Format: date-time
             * @description Made from this moment on, RFC 3339.
             */
            start_time?: string | null;
            /** @description Sessions with all of these. */
            tags?: string[];
        };
        /** @description Whose utterances foretell whose, beyond what each foretells itself. Refused under 200 transitions. */
        Influence: {
            edges: components["schemas"]["InfluenceEdge"][];
            /** @description What of the utterances was followed. */
            feature: string;
            note?: string | null;
        };
        InfluenceEdge: {
            from: string;
            /** @description The surrogates on the same scale: 5th and 95th percentile. */
            null: number[];
            /** Format: double */
            p: number;
            /**
             * Format: double
             * @description Over all edges (Holm).
             */
            p_corrected: number;
            to: string;
            transitions: number;
            /**
             * Format: double
             * @description Transfer entropy in bits, less the mean of its surrogates.
             */
            value: number;
        };
        /** @enum {string} */
        Interaction: "select" | "cursor" | "annotate" | "typing";
        /** @description What somebody, or the emergency protocol, did to the conversation, and what followed. */
        Intervention: {
            /** @description A user's id, or `system`. */
            actor?: string | null;
            /** @description Of a stimulus: its kind; of a change: the agent. */
            detail?: string | null;
            /**
             * Format: double
             * @description The effect on novelty, which was chosen beforehand: Hedges' g.
             */
            effect?: number | null;
            /** @description On everything that was looked at. */
            effects: components["schemas"]["InterventionEffect"][];
            interval?: number[] | null;
            /** @description `stimulus speech emergency_opened emergency_closed agent_changed paths_changed situation_changed reset` */
            kind: string;
            note?: string | null;
            /** Format: int64 */
            seq: number;
            /**
             * Format: int64
             * @description The turn before it.
             */
            turn: number;
        };
        /** @description Before against after. */
        InterventionEffect: {
            /** Format: double */
            after?: number | null;
            /** Format: double */
            before?: number | null;
            /**
             * Format: double
             * @description Hedges' g of after − before; of a gauge the difference of its readings, in `unit`.
             */
            effect?: number | null;
            /** @description BCa bootstrap of g; a gauge's difference has none. */
            interval?: number[] | null;
            measure: string;
            n_after: number;
            n_before: number;
            note?: string | null;
            /** @description The same effect at all other moments of the range: 5th and 95th percentile. */
            null?: number[] | null;
            /**
             * Format: double
             * @description The share of all moments with at least such an effect.
             */
            p?: number | null;
            /**
             * Format: double
             * @description Corrected for all effects of all interventions (Benjamini and Hochberg).
             */
            p_corrected?: number | null;
            unit: string;
        };
        /** @description What an agent answered outside the conversation. */
        Interview: {
            agent_id: string;
            answer: string;
            /** Format: double */
            cost: number;
            /** @description Every event whose words are in the prompt. */
            event_seqs: number[];
            finish: components["schemas"]["Finish"];
            /** Format: int64 */
            latency_ms: number;
            /** @description Exactly what the agent saw. */
            messages: components["schemas"]["ChatMessage"][];
            model: string;
            prompt_digest: string;
            reasoning?: string | null;
            /** Format: int64 */
            seed: number;
            /**
             * Format: int64
             * @description The event after which it was asked.
             */
            seq: number;
            usage?: components["schemas"]["Usage"] | null;
        };
        Invitation: {
            relation: components["schemas"]["Share"];
            /** @description The whole name; upper and lower case do not matter. */
            username: string;
        };
        /** @description What a job last did. */
        Job: {
            /** Format: date-time */
            last_run: string;
            name: string;
            /** @description `success` or `failure`. */
            outcome: string;
            /**
             * Format: int64
             * @description Rows removed by that run.
             */
            removed: number;
        };
        /** @enum {string} */
        JobStatus: "running" | "done" | "failed";
        JudgeAgreement: {
            /**
             * Format: double
             * @description Share of equal ratings.
             */
            equal: number;
            /**
             * Format: double
             * @description Quadratic-weighted kappa; absent under ten pairs.
             */
            kappa?: number | null;
            /** Format: int64 */
            pairs: number;
            /** Format: int64 */
            refused: number;
        };
        /** @enum {string} */
        JudgeQuestion: "sentiment" | "stance" | "integrative_complexity";
        JudgeRating: {
            /** Format: int32 */
            judge?: number | null;
            /** Format: int32 */
            rules?: number | null;
            /** Format: int64 */
            seq: number;
        };
        JudgeRequest: {
            /**
             * Format: int64
             * @description The first and the last event to draw from; the whole log when absent.
             */
            from?: number | null;
            /** @description The session's own when absent. */
            model?: string | null;
            question: components["schemas"]["JudgeQuestion"];
            /** @description Utterances to judge, drawn evenly: 1 to 50, 20 when absent. */
            sample?: number | null;
            /** Format: int64 */
            to?: number | null;
        };
        /** @description What a model made of a sample of utterances. Stored nowhere. */
        Judgement: {
            agreement?: components["schemas"]["JudgeAgreement"] | null;
            /** Format: int64 */
            asked: number;
            interval?: number[] | null;
            /** Format: double */
            mean?: number | null;
            model: string;
            note: string;
            question: components["schemas"]["JudgeQuestion"];
            range: number[];
            ratings: components["schemas"]["JudgeRating"][];
            /**
             * Format: int64
             * @description Answers that were no rating, and calls that failed.
             */
            refused: number;
            spent: components["schemas"]["Spent"];
        };
        /** @description From the model call to its end. */
        Latency: {
            n: number;
            /** Format: double */
            p50_ms?: number | null;
            /** Format: double */
            p95_ms?: number | null;
        };
        List_Alert: {
            items: {
                alert_id: string;
                ip_address?: string | null;
                message: string;
                rule: string;
                severity: components["schemas"]["Severity"];
                /** Format: date-time */
                timestamp: string;
                user_id?: string | null;
                username?: string | null;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Audit: {
            items: {
                details: Record<string, never>;
                event_id: string;
                event_type: string;
                ip_address?: string | null;
                outcome: components["schemas"]["AuditOutcome"];
                request_id: string;
                /** Format: int64 */
                seq: number;
                session_id?: string | null;
                severity: components["schemas"]["Severity"];
                /** Format: date-time */
                timestamp: string;
                user_id?: string | null;
                /** @description `[erased]` once the person is. */
                username?: string | null;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_BlockedAddress: {
            items: {
                /** Format: date-time */
                blocked_at: string;
                /** @description An IPv4 address, or the first one of an IPv6 /64. */
                ip: string;
                reason: string;
                /**
                 * Format: int32
                 * @description How often it has been blocked.
                 */
                times: number;
                /** Format: date-time */
                until: string;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Cast: {
            items: {
                agents: components["schemas"]["Agent"][];
                conscious_voice?: string | null;
                /** Format: date-time */
                created_at?: string | null;
                description: string;
                id: string;
                name: string;
                owner?: string | null;
                paths: components["schemas"]["Path"][];
                situation: string;
                stimuli: components["schemas"]["StimulusPreset"][];
                thresholds: components["schemas"]["Thresholds"];
                /** Format: int32 */
                version: number;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Device: {
            items: {
                /** Format: date-time */
                created_at: string;
                /** @description The sign-in that asks. */
                current: boolean;
                device_id: string;
                ip: string;
                /** Format: date-time */
                last_seen: string;
                name: string;
                user_agent: string;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Model: {
            items: {
                circuit: components["schemas"]["CircuitState"];
                /**
                 * Format: int32
                 * @description Tokens.
                 */
                context: number;
                default: boolean;
                determinism: components["schemas"]["Determinism"];
                id: string;
                in_use: boolean;
                name: string;
                price: components["schemas"]["Price"];
                prompt_style: components["schemas"]["PromptStyle"];
                provider: string;
                /** @description What is wrong and how to mend it. */
                reason?: string | null;
                status: components["schemas"]["ModelStatus"];
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Participant: {
            items: {
                relation: components["schemas"]["Relation"];
                user_id: string;
                username: string;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_ProviderView: {
            items: {
                /** @description Absent for those of the configuration file. */
                base_url?: string | null;
                /** Format: int32 */
                context: number;
                /** @description Whether a key is kept. The key itself is never shown. */
                has_key: boolean;
                /** @description Of the model, as sessions name it. */
                id: string;
                /** @description The model's name at its server. */
                model: string;
                price: components["schemas"]["Price"];
                prompt_style: components["schemas"]["PromptStyle"];
                /** @description `embedded`, `openai` (any chat-completions server) or `scripted`. */
                provider: string;
                /** Format: int32 */
                requests_per_minute?: number | null;
                source: components["schemas"]["Source"];
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_Session: {
            items: {
                /** @description A user's id, or `system`. */
                actor?: string | null;
                /**
                 * Format: int64
                 * @description Forks that the caller may see; absent on sockets and in comparisons.
                 */
                branches?: number | null;
                budget: components["schemas"]["Budget"];
                cast_id: string;
                /** Format: int32 */
                cast_version: number;
                /** Format: date-time */
                created_at: string;
                determinism: components["schemas"]["Determinism"];
                /** Format: int64 */
                emergencies: number;
                /** Format: int32 */
                gen: number;
                /** Format: date-time */
                last_activity: string;
                /** Format: int64 */
                max_rounds?: number | null;
                model: string;
                name: string;
                owner: string;
                /** Format: int64 */
                pacing_ms: number;
                parent?: components["schemas"]["Parent"] | null;
                reason?: string | null;
                /** @description How the caller relates to it. */
                relation: components["schemas"]["Relation"];
                /** Format: int64 */
                round: number;
                /** Format: int64 */
                seed: number;
                /** Format: int64 */
                seq: number;
                session_id: string;
                session_type: components["schemas"]["SessionType"];
                situation: string;
                spent: components["schemas"]["Spent"];
                /** @description Standardised stagnation of the last rounds. */
                stagnation: (number | null)[];
                status: components["schemas"]["SessionStatus"];
                tags: string[];
                /** Format: int64 */
                turn: number;
                turn_order: components["schemas"]["TurnOrder"];
                /**
                 * Format: int64
                 * @description Commands that were acknowledged and are not decided yet, where there are any.
                 */
                waiting?: number | null;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_User: {
            items: {
                budget?: components["schemas"]["Budget"] | null;
                /** Format: date-time */
                created_at: string;
                display_name: string;
                email: string;
                /** Format: date-time */
                last_login?: string | null;
                permissions: string[];
                role: components["schemas"]["Role"];
                /** @description On models, in all own sessions ever. */
                spent: components["schemas"]["Spent"];
                status: components["schemas"]["UserStatus"];
                user_id: string;
                username: string;
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        Login: {
            /** @description Names the device in the list of sign-ins. */
            device_id?: string | null;
            /** @description The second factor, where one is set up. */
            otp?: string | null;
            password: string;
            refresh?: components["schemas"]["RefreshBy"];
            username: string;
        };
        /** @description One measure over the whole range. */
        MeasureSummary: {
            /** @description Parts of the value, or second opinions beside it. */
            components?: {
                [key: string]: number;
            };
            /** @description Not established: to look for ideas, not to conclude from. */
            exploratory?: boolean;
            /** @description 95 %: lower and upper end. */
            interval?: number[] | null;
            /** @description Of what `unit` counts. */
            n: number;
            note?: string | null;
            /** @description What the value would be if nothing were going on: 5th and 95th percentile. */
            null?: number[] | null;
            /**
             * Format: double
             * @description 0..1, for the six gauges.
             */
            standardised?: number | null;
            unit: string;
            /** Format: double */
            value?: number | null;
            /**
             * Format: int32
             * @description Of the formula.
             */
            version: number;
        };
        MessageMetadata: {
            affect?: components["schemas"]["Affect"] | null;
            /** Format: int32 */
            attempt: number;
            /** Format: int64 */
            latency_ms: number;
            model: string;
            opener?: string | null;
            /** Format: int64 */
            round: number;
            /** Format: int64 */
            seed: number;
            truncated?: boolean | null;
            /** Format: int64 */
            turn: number;
            usage?: components["schemas"]["Usage"] | null;
            user_id?: string | null;
        };
        MessagePage: {
            /** @description `agent_message` events only. */
            items: components["schemas"]["StoredFrame"][];
            next_cursor?: string | null;
        };
        /** @enum {string} */
        MessageType: "normal" | "emergency";
        Mfa: {
            enabled: boolean;
            recovery_codes_left: number;
            /** @description The role demands it. */
            required: boolean;
        };
        Model: {
            circuit: components["schemas"]["CircuitState"];
            /**
             * Format: int32
             * @description Tokens.
             */
            context: number;
            default: boolean;
            determinism: components["schemas"]["Determinism"];
            id: string;
            in_use: boolean;
            name: string;
            price: components["schemas"]["Price"];
            prompt_style: components["schemas"]["PromptStyle"];
            provider: string;
            /** @description What is wrong and how to mend it. */
            reason?: string | null;
            status: components["schemas"]["ModelStatus"];
        };
        /** @enum {string} */
        ModelErrorKind: "timeout" | "refused" | "rate_limited" | "server_error" | "bad_answer" | "circuit_open" | "budget" | "cancelled";
        ModelFailure: {
            kind: components["schemas"]["ModelErrorKind"];
            message: string;
        };
        /** @enum {string} */
        ModelStatus: "ready" | "unavailable";
        ModelTest: {
            error?: components["schemas"]["ModelFailure"] | null;
            finish?: components["schemas"]["Finish"] | null;
            /** Format: int64 */
            first_token_ms?: number | null;
            /** Format: int64 */
            latency_ms: number;
            ok: boolean;
            text: string;
            usage?: components["schemas"]["Usage"] | null;
        };
        NetworkMetrics: {
            /** Format: double */
            avg_response_time?: number | null;
            /** Format: double */
            network_health: number;
            /** Format: int64 */
            total_messages: number;
        };
        Parent: {
            /** Format: int32 */
            gen: number;
            /** Format: int64 */
            seq: number;
            session_id: string;
        };
        Participant: {
            relation: components["schemas"]["Relation"];
            user_id: string;
            username: string;
        };
        Password: {
            password: string;
        };
        PasswordChange: {
            current_password: string;
            new_password: string;
        };
        PasswordReset: {
            new_password: string;
            token: string;
        };
        Path: {
            from: string;
            kind?: components["schemas"]["PathKind"];
            to: string;
            /**
             * Format: int32
             * @description How many of the last utterances on this path its listener hears; 1 to 50.
             */
            window?: number;
        };
        /** @enum {string} */
        PathKind: "normal" | "emergency";
        Paths: {
            paths: components["schemas"]["Path"][];
        };
        /** @enum {string} */
        Payer: "user" | "tenant";
        PendingStimulus: {
            heard_by: string[];
            kind?: components["schemas"]["StimulusKind"] | null;
            /** Format: int64 */
            seq: number;
            target?: string | null;
            text: string;
        };
        Place: {
            /** Format: int32 */
            gen: number;
            /** Format: int64 */
            seq: number;
        };
        Present: {
            relation: components["schemas"]["Relation"];
            user_id: string;
            username: string;
        };
        Price: {
            /**
             * Format: double
             * @description Per million tokens.
             */
            input: number;
            /** Format: double */
            output: number;
        };
        Profile: components["schemas"]["User"] & {
            /** @description What one may spend: one's own budget, or what everybody has. A limit that is absent is none. */
            budget_in_force: components["schemas"]["Budget"];
            consents: components["schemas"]["Consent"][];
            mfa: components["schemas"]["Mfa"];
            preferences: Record<string, never>;
        };
        ProfilePatch: {
            /** @description The version of the terms one agrees to. */
            consent?: string | null;
            display_name?: string | null;
            email?: string | null;
            /** @description Free JSON, at most 16 KiB. */
            preferences?: Record<string, never> | null;
        };
        /** @enum {string} */
        PromptStyle: "compact" | "full";
        Proof: {
            /** @description Where a second factor is set up. */
            otp?: string | null;
            password: string;
        };
        /** @description Where an export comes from. */
        Provenance: {
            cast: components["schemas"]["CastDigest"];
            /** Format: date-time */
            created_at: string;
            /** Format: int64 */
            from: number;
            /** @description Hash of the event `to`: it proves all before it. */
            log_hash: string;
            /** Format: int32 */
            measures_version: number;
            models: string[];
            program_version: string;
            /** Format: int32 */
            prompts_version: number;
            redacted: string[];
            /** Format: int64 */
            seed: number;
            session_id: string;
            /** Format: int64 */
            to: number;
        };
        ProviderDraft: {
            /** @description Write-only. Absent: the key that is kept stays, unless `base_url` changes, which removes it. `null` removes it. */
            api_key?: string | null;
            /** @description https, or http for hosts that the setting `provider_hosts` lists; mostly ending in `/v1`. */
            base_url: string;
            /**
             * Format: int32
             * @description Context length in tokens.
             */
            context?: number | null;
            /** @description The model's name at its server. */
            model: string;
            price?: components["schemas"]["Price"] | null;
            prompt_style?: components["schemas"]["PromptStyle"] | null;
            /** Format: int32 */
            requests_per_minute?: number | null;
        };
        ProviderView: {
            /** @description Absent for those of the configuration file. */
            base_url?: string | null;
            /** Format: int32 */
            context: number;
            /** @description Whether a key is kept. The key itself is never shown. */
            has_key: boolean;
            /** @description Of the model, as sessions name it. */
            id: string;
            /** @description The model's name at its server. */
            model: string;
            price: components["schemas"]["Price"];
            prompt_style: components["schemas"]["PromptStyle"];
            /** @description `embedded`, `openai` (any chat-completions server) or `scripted`. */
            provider: string;
            /** Format: int32 */
            requests_per_minute?: number | null;
            source: components["schemas"]["Source"];
        };
        /** @description How well the conversation went, by its parts. */
        Quality: {
            note: string;
            parts: components["schemas"]["QualityPart"][];
            /**
             * Format: double
             * @description The mean of the parts there are; exploratory.
             */
            value?: number | null;
        };
        QualityPart: {
            interval?: number[] | null;
            means: string;
            name: string;
            /**
             * Format: double
             * @description 0 = bad, 1 = good.
             */
            value?: number | null;
        };
        Ready: {
            ready: boolean;
            reason?: string | null;
            /** Format: date-time */
            timestamp: string;
        };
        RecoveryCodes: {
            /** @description Each replaces a code of the device once. Shown this once. */
            recovery_codes: string[];
        };
        Refresh: {
            /** @description Taken from the cookie when absent. */
            refresh_token?: string | null;
        };
        /**
         * @description Where the refresh token goes.
         * @enum {string}
         */
        RefreshBy: "body" | "cookie";
        Register: {
            /** @description Must be true. */
            consent: boolean;
            display_name?: string | null;
            email: string;
            password: string;
            username: string;
        };
        /**
         * @description Who may make an account.
         * @enum {string}
         */
        Registration: "open" | "closed";
        /** @enum {string} */
        Relation: "none" | "viewer" | "participant" | "owner";
        RelationMetadata: {
            /** @description The id of who did it. */
            by: string;
            relation: components["schemas"]["Relation"];
        };
        ResourceUsage: {
            active_threads: number;
            /**
             * Format: double
             * @description Of all processors together, 0 to 100.
             */
            cpu_percent: number;
            /**
             * Format: double
             * @description Resident memory of this process, in MiB.
             */
            memory_mb: number;
            /**
             * Format: double
             * @description Of the machine's memory, 0 to 100.
             */
            memory_percent: number;
        };
        /** @enum {string} */
        Role: "observer" | "researcher" | "admin";
        /** @description A run with what its session's row says of it. */
        Run: components["schemas"]["Summary"] & {
            cast_id: string;
            /** Format: date-time */
            created_at: string;
            model: string;
            name: string;
            parent?: Record<string, never> | null;
            /** Format: int64 */
            seed: number;
            session_id: string;
            tags: string[];
        };
        /** @description Whether a measure rose or fell from run to run. */
        RunTrend: {
            interval: number[];
            measure: string;
            /** @description Runs with a value. */
            n: number;
            /**
             * Format: double
             * @description Mann–Kendall with the correction of Hamed and Rao.
             */
            p: number;
            /**
             * Format: double
             * @description Over all measures (Holm).
             */
            p_corrected: number;
            /**
             * Format: double
             * @description Per run.
             */
            slope: number;
            /** Format: double */
            tau: number;
        };
        Sampling: {
            /** Format: int32 */
            max_tokens: number;
            /** Format: double */
            min_p: number;
            /** Format: int32 */
            no_repeat_ngram: number;
            /** Format: double */
            repetition_penalty: number;
            stop: string[];
            /** Format: double */
            temperature: number;
            /** Format: double */
            top_p: number;
        };
        /** @description One gauge of a canonical transcript, or of the family generated like it. */
        SelfTest: {
            /** @description Where the standardised value must lie. */
            expected: number[];
            /** @description Members of its family, not the transcript itself. */
            family: boolean;
            gauge: string;
            name: string;
            ok: boolean;
            /** @description The lowest and the highest there was; null where there was no reading. */
            reading: (number | null)[];
        };
        /** @description What this program makes of talk whose level is known. */
        SelfTests: {
            /** Format: int32 */
            measures_version: number;
            /** @description Whether every row is. */
            ok: boolean;
            rows: components["schemas"]["SelfTest"][];
        };
        Sentiment: {
            band: number[];
            /** @description Present when the scorer gave what is no number: the utterance counts as neutral. */
            flagged?: boolean | null;
            label: components["schemas"]["SentimentLabel"];
            /** Format: double */
            negative: number;
            /** Format: double */
            neutral: number;
            /** Format: double */
            positive: number;
            /**
             * Format: double
             * @description −1 to 1.
             */
            score: number;
            /** Format: double */
            standard_error: number;
        };
        /** @enum {string} */
        SentimentLabel: "positive" | "negative" | "neutral" | "mixed";
        /** @description Any frame. */
        ServerFrame: components["schemas"]["StoredFrame"] | components["schemas"]["ControlFrame"];
        Session: {
            /** @description A user's id, or `system`. */
            actor?: string | null;
            /**
             * Format: int64
             * @description Forks that the caller may see; absent on sockets and in comparisons.
             */
            branches?: number | null;
            budget: components["schemas"]["Budget"];
            cast_id: string;
            /** Format: int32 */
            cast_version: number;
            /** Format: date-time */
            created_at: string;
            determinism: components["schemas"]["Determinism"];
            /** Format: int64 */
            emergencies: number;
            /** Format: int32 */
            gen: number;
            /** Format: date-time */
            last_activity: string;
            /** Format: int64 */
            max_rounds?: number | null;
            model: string;
            name: string;
            owner: string;
            /** Format: int64 */
            pacing_ms: number;
            parent?: components["schemas"]["Parent"] | null;
            reason?: string | null;
            /** @description How the caller relates to it. */
            relation: components["schemas"]["Relation"];
            /** Format: int64 */
            round: number;
            /** Format: int64 */
            seed: number;
            /** Format: int64 */
            seq: number;
            session_id: string;
            session_type: components["schemas"]["SessionType"];
            situation: string;
            spent: components["schemas"]["Spent"];
            /** @description Standardised stagnation of the last rounds. */
            stagnation: (number | null)[];
            status: components["schemas"]["SessionStatus"];
            tags: string[];
            /** Format: int64 */
            turn: number;
            turn_order: components["schemas"]["TurnOrder"];
            /**
             * Format: int64
             * @description Commands that were acknowledged and are not decided yet, where there are any.
             */
            waiting?: number | null;
        };
        SessionDraft: {
            budget?: components["schemas"]["Budget"] | null;
            cast?: components["schemas"]["CastDraft"] | null;
            /** @description A stored or built-in cast; `jungian` when absent. */
            cast_id?: string | null;
            /** Format: int64 */
            max_rounds?: number | null;
            model?: string | null;
            name?: string | null;
            /** Format: int64 */
            pacing_ms?: number;
            /** Format: int64 */
            seed?: number | null;
            session_type: components["schemas"]["SessionType"];
            situation?: string | null;
            tags?: string[];
            turn_order?: components["schemas"]["TurnOrder"] | null;
        };
        SessionPatch: {
            budget?: components["schemas"]["Budget"] | null;
            /**
             * Format: int64
             * @description Null lifts the limit.
             */
            max_rounds?: number | null;
            name?: string | null;
            /** Format: int64 */
            pacing_ms?: number | null;
            situation?: string | null;
            /** @description The presets that stimuli are drawn from, instead of those there are. */
            stimuli?: components["schemas"]["StimulusPreset"][] | null;
            tags?: string[] | null;
            thresholds?: components["schemas"]["Thresholds"] | null;
        };
        /** @enum {string} */
        SessionStatus: "created" | "running" | "paused" | "stopped" | "failed";
        /** @enum {string} */
        SessionType: "single_user" | "shared" | "observer_only";
        Setup: {
            email: string;
            password: string;
            setup_code: string;
            username: string;
        };
        SetupState: {
            /** @description What people agree to when they register. */
            consent_version: string;
            /** @description Whether the first admin is still to be made. */
            needed: boolean;
            registration: components["schemas"]["Registration"];
        };
        /** @enum {string} */
        Severity: "low" | "medium" | "high" | "critical";
        /** @enum {string} */
        Share: "participant" | "viewer";
        ShareBody: {
            relation: components["schemas"]["Share"];
        };
        /** @description Who spoke how much. */
        Shares: {
            balance: components["schemas"]["Balance"];
            speakers: components["schemas"]["SpeakerShare"][];
        };
        SignedInUser: {
            display_name: string;
            permissions: string[];
            role: components["schemas"]["Role"];
            user_id: string;
            username: string;
        };
        Skipped: {
            message: string;
            session_id: string;
        };
        /** @enum {string} */
        SnapshotReason: "cold" | "too_old" | "rewound";
        /**
         * @description Where a definition comes from.
         * @enum {string}
         */
        Source: "configuration" | "stored";
        SpeakerShare: {
            /** @description `user` for people. */
            agent_id: string;
            /** @description Wilson. */
            interval?: number[] | null;
            /**
             * Format: double
             * @description Of the utterances, 0..1.
             */
            share: number;
            utterances: number;
            /**
             * Format: double
             * @description Of the words, 0..1.
             */
            word_share?: number | null;
            words: number;
        };
        Spent: {
            /** Format: double */
            cost: number;
            /** Format: int64 */
            tokens: number;
        };
        State: {
            agents: {
                [key: string]: components["schemas"]["AgentState"];
            };
            connections: components["schemas"]["Connection"][];
            emergency: components["schemas"]["EmergencyState"];
            gauges: {
                [key: string]: components["schemas"]["Gauge"];
            };
            /** Format: int64 */
            participant_count: number;
            /** @description Of a crowd, the first hundred. */
            participants: components["schemas"]["Participant"][];
            pending_stimuli: components["schemas"]["PendingStimulus"][];
            /** Format: int64 */
            round: number;
            situation: string;
            status: components["schemas"]["SessionStatus"];
            /** Format: int64 */
            turn: number;
        };
        Statistics: {
            /** Format: double */
            cost: number;
            /** Format: int64 */
            emergencies: number;
            /** Format: int64 */
            events: number;
            /** Format: int64 */
            frames_sent: number;
            /** Format: int64 */
            live_frames_dropped: number;
            sessions: number;
            sessions_by_status: {
                [key: string]: number;
            };
            /** Format: int64 */
            slow_readers_cut: number;
            /** Format: int64 */
            tokens: number;
            /** Format: int64 */
            turns: number;
        };
        /** @enum {string} */
        Status: "healthy" | "degraded";
        /** @enum {string} */
        StimulusKind: "memory" | "conflict" | "revelation" | "challenge" | "integration" | "shadow" | "creative" | "custom" | "random";
        StimulusPreset: {
            kind: components["schemas"]["StimulusKind"];
            name?: string;
            text: string;
        };
        Stored: {
            /**
             * Format: int64
             * @description The event that holds the command.
             */
            seq: number;
        };
        /** @description What happened. */
        StoredEvent: {
            budget: components["schemas"]["Budget"];
            cast: components["schemas"]["Cast"];
            determinism: components["schemas"]["Determinism"];
            /** Format: int64 */
            max_rounds?: number | null;
            /** Format: int32 */
            measures_version: number;
            model: string;
            name: string;
            owner: string;
            /** Format: int64 */
            pacing_ms: number;
            /** Format: int32 */
            prompts_version: number;
            /** Format: int64 */
            seed: number;
            session_type: components["schemas"]["SessionType"];
            situation: string;
            tags: string[];
            turn_order: components["schemas"]["TurnOrder"];
            /** @enum {string} */
            type: "session_created";
        } | {
            actor: string;
            args: Record<string, never>;
            command: string;
            command_id: string;
            text?: string | null;
            /** @enum {string} */
            type: "command_received";
            /** @description True where another replica than the owner acknowledged it: `command_accepted` or `command_refused` follows. */
            waits?: boolean | null;
        } | {
            command_id: string;
            /**
             * Format: int64
             * @description Of the `command_received`.
             */
            received_seq: number;
            /** @enum {string} */
            type: "command_accepted";
        } | {
            command_id: string;
            message: string;
            status: components["schemas"]["SessionStatus"];
            /** @enum {string} */
            type: "command_refused";
        } | {
            actor: string;
            budget?: components["schemas"]["Payer"] | null;
            reason?: string | null;
            status: components["schemas"]["SessionStatus"];
            /** @enum {string} */
            type: "session_status";
        } | {
            agent_id: string;
            /** Format: int64 */
            answers?: number | null;
            /** Format: int32 */
            attempt: number;
            event_seqs: number[];
            message_type: components["schemas"]["MessageType"];
            model: string;
            opener?: string | null;
            prompt_digest: string;
            recipient: string;
            recipients: string[];
            /** Format: int64 */
            reserved: number;
            /** Format: int64 */
            round: number;
            sampling: components["schemas"]["Sampling"];
            /** Format: int64 */
            seed: number;
            stimuli: number[];
            style: components["schemas"]["PromptStyle"];
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "turn_started";
        } | {
            agent_id: string;
            content: string;
            message_type: components["schemas"]["MessageType"];
            metadata: components["schemas"]["MessageMetadata"];
            recipient: string;
            recipients: string[];
            sentiment: components["schemas"]["Sentiment"];
            /** @enum {string} */
            type: "agent_message";
        } | {
            agent_id: string;
            /** Format: double */
            confidence?: number | null;
            last_action: string;
            metadata: Record<string, never>;
            state: components["schemas"]["AgentActivity"];
            /** @enum {string} */
            type: "agent_state_update";
        } | {
            connections: components["schemas"]["Connection"][];
            metrics: components["schemas"]["NetworkMetrics"];
            performance: Record<string, never>;
            /** @enum {string} */
            type: "network_update";
        } | {
            gauges: {
                [key: string]: components["schemas"]["Gauge"];
            };
            /** Format: int64 */
            round: number;
            /** @enum {string} */
            type: "health_update";
        } | {
            action: components["schemas"]["EmergencyAction"];
            level: components["schemas"]["EmergencyLevel"];
            paths: components["schemas"]["Edge"][];
            /** Format: double */
            stagnation: number;
            /** @enum {string} */
            type: "emergency";
        } | {
            agent_id: string;
            guidance: string;
            rules: string[];
            /** @enum {string} */
            type: "prompt_adapted";
        } | {
            actor: string;
            kind: components["schemas"]["StimulusKind"];
            target?: string | null;
            text: string;
            /** @enum {string} */
            type: "stimulus_injected";
        } | {
            /** Format: int64 */
            stimulus_seq: number;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "stimulus_used";
        } | {
            cause: string;
            situation: string;
            /** @enum {string} */
            type: "situation_changed";
        } | {
            rule: string;
            text: string;
            /** @enum {string} */
            type: "intervention_suggested";
        } | {
            tags: string[];
            /** Format: int64 */
            target_seq: number;
            text: string;
            /** @enum {string} */
            type: "annotation";
            user_id: string;
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            /** Format: double */
            confidence?: number | null;
            /** Format: double */
            cost: number;
            finish: components["schemas"]["Finish"];
            reasoning?: string | null;
            /** Format: int64 */
            round: number;
            /** Format: int64 */
            tokens: number;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "turn_committed";
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            kind: components["schemas"]["ModelErrorKind"];
            message: string;
            retryable: boolean;
            /** Format: int64 */
            tokens: number;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "turn_failed";
        } | {
            agent_id: string;
            /** Format: int32 */
            attempt: number;
            reason: string;
            /** Format: int64 */
            tokens: number;
            /** Format: int64 */
            turn: number;
            /** @enum {string} */
            type: "turn_abandoned";
        } | {
            actor: string;
            dropped: number[];
            /** @enum {string} */
            type: "reset";
        } | {
            actor: string;
            budget?: components["schemas"]["Budget"] | null;
            /**
             * Format: int64
             * @description Null: no limit any more.
             */
            max_rounds?: number | null;
            name?: string | null;
            /** Format: int64 */
            pacing_ms?: number | null;
            situation?: string | null;
            stimuli?: components["schemas"]["StimulusPreset"][] | null;
            tags?: string[] | null;
            thresholds?: components["schemas"]["Thresholds"] | null;
            /** @enum {string} */
            type: "settings_changed";
        } | {
            actor: string;
            agent_id: string;
            model?: string | null;
            muted?: boolean | null;
            system_prompt?: string | null;
            /** Format: double */
            temperature?: number | null;
            /** @enum {string} */
            type: "agent_changed";
        } | {
            actor: string;
            paths: components["schemas"]["Path"][];
            /** @enum {string} */
            type: "paths_changed";
        } | {
            changes: components["schemas"]["ForkedChanges"];
            determinism?: components["schemas"]["Determinism"] | null;
            name?: string | null;
            /** @description Who made the fork. */
            owner: string;
            parent: components["schemas"]["Parent"];
            /** @enum {string} */
            type: "forked";
        } | {
            action: components["schemas"]["Belonging"];
            metadata: components["schemas"]["RelationMetadata"];
            /** Format: int64 */
            participant_count: number;
            session_type: components["schemas"]["SessionType"];
            /** @enum {string} */
            type: "user_session";
            user_id: string;
            username: string;
        };
        /** @description A stored event: where it is in the log, and what happened. */
        StoredFrame: components["schemas"]["StoredEvent"] & {
            /** Format: int32 */
            gen: number;
            /**
             * Format: int64
             * @description The `seq` of the event before it in this view.
             */
            prev: number;
            /**
             * Format: int64
             * @description 1, 2, 3 … without gaps in the log.
             */
            seq: number;
            session_id: string;
            /** Format: date-time */
            timestamp: string;
        };
        /** @description Whose style is like whose, and who adapts to whom. */
        Style: {
            coordination: components["schemas"]["StyleStep"][];
            note?: string | null;
            pairs: components["schemas"]["StylePair"][];
            /**
             * @description Mean cosine of the speakers' words in each stretch of 20 consecutive utterances: a rising course is voices coming
             *     together. A gap where too little was said.
             */
            similarity: (number | null)[];
        };
        /** @description Language style matching of two speakers, at equal numbers of words. */
        StylePair: {
            a: string;
            b: string;
            /**
             * Format: double
             * @description 0..1.
             */
            lsm: number;
            /** @description Words read of each. */
            words: number;
        };
        /** @description How much `from` adapts to `to`. */
        StyleStep: {
            answers: number;
            from: string;
            to: string;
            /**
             * Format: double
             * @description −1..1.
             */
            value: number;
        };
        Subscription: {
            cursor?: components["schemas"]["Cursor"] | null;
            /** @description Live tokens; wanted when absent. */
            deltas?: boolean | null;
            /** @description Event types; everything when absent. */
            events?: string[] | null;
        };
        /** @description What one analysis comes down to. */
        Summary: {
            /** Format: int32 */
            measures_version: number;
            utterances: number;
            /** @description One number per measure; those that cannot be had are absent. */
            values: {
                [key: string]: number;
            };
        };
        /** @enum {string} */
        SystemHealth: "healthy" | "degraded" | "critical";
        SystemStatus: {
            components: components["schemas"]["Components"];
            /** @description What is removed when its time has come. */
            jobs: components["schemas"]["Job"][];
            /** @description Sessions with at least one reader. */
            live_sessions: number;
            resource_usage: components["schemas"]["ResourceUsage"];
            /** @description Sessions this process drives. */
            sessions_running: number;
            status: components["schemas"]["Status"];
            /** Format: date-time */
            timestamp: string;
            /** Format: int64 */
            uptime_s: number;
            version: string;
            websocket_connections: number;
        };
        /** @description Who spoke to whom, and whose words were alike. */
        TalkMatrix: {
            counts: number[][];
            note?: string | null;
            /** @description Of two speakers' words, 0..1: 1 − Jensen–Shannon divergence, at equal numbers of words. */
            overlap: (number | null)[][];
            /** @description The same with the utterances dealt out to speakers anew: 5th and 95th percentile. Below it, voices differ. */
            overlap_null: (number[] | null)[][];
            /** @description Words of each speaker that were compared. */
            overlap_words: number;
            /** @description Columns of `counts`; the last is `all`. */
            recipients: string[];
            /** @description Rows of all that follow. */
            speakers: string[];
        };
        Thresholds: {
            /** Format: double */
            critical?: number;
            /** Format: double */
            emergency?: number;
            /** Format: int64 */
            path_switch_delay?: number;
        };
        Ticket: {
            /** Format: date-time */
            expires_at: string;
            ticket: string;
        };
        /** @description A whole session as numbers. */
        Timeline: {
            /** Format: int32 */
            gen: number;
            marks: components["schemas"]["TimelineMark"][];
            /** @description The last `seq` read, to go on after. */
            next_cursor?: string | null;
            turns: components["schemas"]["TimelineTurns"];
        };
        /** @description What happened between utterances. */
        TimelineMark: {
            /** @description Its action, kind or status. */
            label?: string | null;
            /** Format: int64 */
            seq: number;
            /**
             * Format: int64
             * @description The last turn with words before it.
             */
            turn: number;
            /** @description `agent_message` (a person's words) `emergency stimulus_injected turn_failed forked reset session_status` */
            type: string;
        };
        /** @description Columns: each list has one entry per utterance of an agent. */
        TimelineTurns: {
            agent_id: string[];
            /** @description Standardised gauges after the utterance, by name. */
            gauges: {
                [key: string]: (number | null)[];
            };
            round: number[];
            /** @description VADER compound, −1 to 1. */
            sentiment: number[];
            seq: number[];
            turn: number[];
        };
        TokenAnswer: {
            access_token: string;
            /**
             * Format: int64
             * @description Seconds.
             */
            expires_in: number;
            /** @description The role demands a second factor; until there is one, only one's own account is open. */
            must_enrol: boolean;
            /** @description Null when it went into the cookie. */
            refresh_token?: string | null;
            /**
             * Format: int64
             * @description Seconds: renew in the background when fewer are left.
             */
            renew_before: number;
            /** @example bearer */
            token_type: string;
            user: components["schemas"]["SignedInUser"];
        };
        /** @description Whether a measure rose or fell. */
        TrendLine: {
            forecast?: components["schemas"]["Foretold"] | null;
            /**
             * Format: double
             * @description What autocorrelation multiplied the variance by; 1 is none.
             */
            inflation?: number | null;
            interval?: number[] | null;
            measure: string;
            /** @description Points the test looked at. */
            n: number;
            note?: string | null;
            /**
             * Format: double
             * @description Mann–Kendall with the correction of Hamed and Rao for autocorrelation.
             */
            p?: number | null;
            /**
             * Format: double
             * @description Corrected for the number of trends looked at (Holm).
             */
            p_corrected?: number | null;
            /** @description The points: `seq` and value. */
            points: number[][];
            /**
             * Format: double
             * @description Theil and Sen, in `unit` per 100 utterances.
             */
            slope?: number | null;
            /** @description Utterances from one point to the next. */
            stride: number;
            /**
             * Format: double
             * @description Kendall's τ with time, −1..1.
             */
            tau?: number | null;
            unit: string;
        };
        /** @description The mixed model over utterances, with the run as a random intercept. */
        TurnLevel: {
            /** Format: double */
            difference: number;
            interval: number[];
            /**
             * Format: double
             * @description Variance between runs, as a share of all.
             */
            intraclass_correlation: number;
            /** Format: double */
            p: number;
            /** Format: double */
            standard_error: number;
            utterances: number;
        };
        /** @enum {string} */
        TurnOrder: "sequential" | "simultaneous";
        /** @description The level of a measure changed here. */
        TurningPoint: {
            /** Format: double */
            after: number;
            /** Format: double */
            before: number;
            /**
             * Format: double
             * @description `after` − `before`.
             */
            change: number;
            measure: string;
            /**
             * Format: double
             * @description By block permutations.
             */
            p: number;
            /**
             * Format: double
             * @description Corrected for the number of tests made (Holm); at most 0.05, or it would not be listed.
             */
            p_corrected: number;
            /**
             * Format: int64
             * @description The first utterance of the new level.
             */
            seq: number;
            /** Format: int64 */
            turn: number;
            unit: string;
            /** @description Utterances within which the place is known: series longer than 1,000 points are averaged. */
            within: number;
        };
        Usage: {
            /** Format: int64 */
            completion_tokens: number;
            /** Format: int64 */
            prompt_tokens: number;
        };
        User: {
            budget?: components["schemas"]["Budget"] | null;
            /** Format: date-time */
            created_at: string;
            display_name: string;
            email: string;
            /** Format: date-time */
            last_login?: string | null;
            permissions: string[];
            role: components["schemas"]["Role"];
            /** @description On models, in all own sessions ever. */
            spent: components["schemas"]["Spent"];
            status: components["schemas"]["UserStatus"];
            user_id: string;
            username: string;
        };
        UserChange: {
            budget?: components["schemas"]["Budget"] | null;
            display_name?: string | null;
            role?: components["schemas"]["Role"] | null;
            status?: components["schemas"]["UserStatus"] | null;
        };
        UserDraft: {
            email: string;
            role: components["schemas"]["Role"];
            username: string;
        };
        /** @enum {string} */
        UserStatus: "active" | "disabled";
        UtteranceContext: {
            /** @description Every event whose words are in the prompt. */
            event_seqs: number[];
            messages: components["schemas"]["ChatMessage"][];
            model: string;
            opener?: string | null;
            prompt_digest: string;
            sampling: components["schemas"]["Sampling"];
            /** Format: int64 */
            seed: number;
            usage?: components["schemas"]["Usage"] | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
