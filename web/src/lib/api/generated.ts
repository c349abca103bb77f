// Written by `npm run codegen` from openapi.json. Do not edit.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
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
            /** @description `start pause resume step stop reset inject_stimulus speak retry` */
            command: string;
            /** @description The client's own name for the command: the same one is carried out once. */
            command_id?: string | null;
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
        Configuration: {
            /** @description Who may make an account: everybody, or admins for them. */
            registration: components["schemas"]["Registration"];
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
        /** @enum {string} */
        Finish: "stop" | "length" | "filtered";
        Gauge: {
            /** @description `low moderate high` */
            level?: string | null;
            /** @description The null's interval. */
            null?: number[] | null;
            /** Format: double */
            standardised?: number | null;
            /** Format: double */
            value?: number | null;
        };
        Health: {
            components: components["schemas"]["Components"];
            status: components["schemas"]["Status"];
            /** Format: date-time */
            timestamp: string;
            /** @description Only for those who may monitor the system. */
            version?: string | null;
        };
        /** @enum {string} */
        Interaction: "select" | "cursor" | "annotate" | "typing";
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
        List_Session: {
            items: {
                /** @description A user's id, or `system`. */
                actor?: string | null;
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
            }[];
            /** @description Give it as `cursor` to read on; null at the end. */
            next_cursor?: string | null;
        };
        List_User: {
            items: {
                /** Format: date-time */
                created_at: string;
                display_name: string;
                email: string;
                /** Format: date-time */
                last_login?: string | null;
                permissions: string[];
                role: components["schemas"]["Role"];
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
        MessageMetadata: {
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
            tags?: string[] | null;
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
        SignedInUser: {
            display_name: string;
            permissions: string[];
            role: components["schemas"]["Role"];
            user_id: string;
            username: string;
        };
        /** @enum {string} */
        SnapshotReason: "cold" | "too_old" | "rewound";
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
        } | {
            command_id: string;
            message: string;
            status: components["schemas"]["SessionStatus"];
            /** @enum {string} */
            type: "command_refused";
        } | {
            actor: string;
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
            tags?: string[] | null;
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
            changes: Record<string, never>;
            parent: components["schemas"]["Parent"];
            /** @enum {string} */
            type: "forked";
        } | {
            action: string;
            metadata: Record<string, never>;
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
        Subscription: {
            cursor?: components["schemas"]["Cursor"] | null;
            /** @description Live tokens; wanted when absent. */
            deltas?: boolean | null;
            /** @description Event types; everything when absent. */
            events?: string[] | null;
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
        /** @enum {string} */
        TurnOrder: "sequential" | "simultaneous";
        Usage: {
            /** Format: int64 */
            completion_tokens: number;
            /** Format: int64 */
            prompt_tokens: number;
        };
        User: {
            /** Format: date-time */
            created_at: string;
            display_name: string;
            email: string;
            /** Format: date-time */
            last_login?: string | null;
            permissions: string[];
            role: components["schemas"]["Role"];
            status: components["schemas"]["UserStatus"];
            user_id: string;
            username: string;
        };
        UserChange: {
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
