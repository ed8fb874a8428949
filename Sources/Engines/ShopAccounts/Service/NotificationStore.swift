import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShopAccountsEngine
import ShopKitService

/// The notifications' rows: events that were seen, and what is to be sent because of them, in one transaction, so that
/// an event that comes twice makes nothing twice.
final class NotificationStore {
    static let schema = [
        """
        create table if not exists notifications_inbox (event_id text primary key, order_id text not null, \
        sequence bigint not null, type text not null, received_at text not null)
        """,
        """
        create table if not exists notifications (id bigserial primary key, event_id text not null, \
        order_id text not null, user_id text not null, channel text not null, template text not null, \
        recipient text not null, subject text not null, body text not null, state text not null, \
        attempts bigint not null, due_at bigint not null, lease bigint not null, detail text not null, \
        created_at text not null, settled_at text)
        """,
        "create index if not exists notifications_due on notifications (state, due_at)",
        "create index if not exists notifications_by_order on notifications (order_id)",
        """
        create table if not exists notification_attempts (notification_id bigint not null, number bigint not null, \
        at text not null, outcome text not null, detail text not null, primary key (notification_id, number))
        """,
        """
        create table if not exists notification_templates (channel text not null, template text not null, \
        subject text not null, body text not null, primary key (channel, template))
        """,
    ]

    /// One that is due.
    struct Due {
        var notification: Notification
        let userID: String
        let recipient: String
        let subject: String
        let body: String
        /// What its lease was when it was read.
        let lease: Int
    }

    /// One that is to be written.
    struct Draft {
        let channel: Notification.Channel
        let template: String
        let recipient: String
        let subject: String
        let body: String
    }

    private let database: ShopDatabase

    init(_ database: ShopDatabase) { self.database = database }

    /// - Parameter completion: `conflict`: the event was seen before.
    func insert(
        _ event: OrderEvent, _ drafts: [Draft], at time: LabTime, _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        var statements = [
            ShopStatement(
                "insert into notifications_inbox (event_id, order_id, sequence, type, received_at) "
                    + "values ($1, $2, $3, $4, $5)",
                [
                    .text(event.id), .text(event.orderID), .number(event.sequence), .text(event.type),
                    .text("\(time)"),
                ], expected: 1)
        ]
        statements += drafts.map { draft in
            ShopStatement(
                "insert into notifications (event_id, order_id, user_id, channel, template, recipient, subject, body, "
                    + "state, attempts, due_at, lease, detail, created_at) "
                    + "values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', 0, $9, 0, '', $10)",
                [
                    .text(event.id), .text(event.orderID), .text(event.userID), .text(draft.channel.rawValue),
                    .text(draft.template), .text(draft.recipient), .text(draft.subject), .text(draft.body),
                    .number(Self.milliseconds(time)), .text("\(time)"),
                ], expected: 1)
        }
        database.atomically(statements, completion)
    }

    /// Events that have come, whatever became of them.
    func inbox(_ completion: @escaping (Result<[JSONValue], ShopStoreFailure>) -> Void) {
        database.rows(
            "select event_id, order_id, type from notifications_inbox order by order_id, sequence limit 1000000"
        ) { result in
            completion(
                result.map { rows in
                    rows.map { row in
                        [
                            "event_id": .string(row.text(0)), "order_id": .string(row.text(1)),
                            "type": .string(row.text(2)),
                        ]
                    }
                })
        }
    }

    // MARK: Sending

    /// Those that are due and nobody has taken, oldest first.
    func due(at time: LabTime, limit: Int, _ completion: @escaping (Result<[Due], ShopStoreFailure>) -> Void) {
        let now = Self.milliseconds(time)
        database.rows(
            "select id, event_id, channel, template, attempts, user_id, recipient, subject, body, lease "
                + "from notifications where state = 'pending' and due_at <= $1 and lease <= $1 "
                + "order by due_at, id limit \(limit)",
            [.number(now)]
        ) { result in
            completion(
                result.map { rows in
                    rows.map { row in
                        let notification = Notification(
                            id: row.number(0), eventID: row.text(1),
                            channel: Notification.Channel(rawValue: row.text(2)) ?? .email, template: row.text(3),
                            state: .pending, attempts: row.number(4))
                        return Due(
                            notification: notification, userID: row.text(5), recipient: row.text(6),
                            subject: row.text(7), body: row.text(8), lease: row.number(9))
                    }
                })
        }
    }

    /// When the next one is due; nil: there is none.
    func nextDue(_ completion: @escaping (LabTime?) -> Void) {
        database.rows(
            "select min(case when lease > due_at then lease else due_at end) from notifications where state = 'pending'"
        ) { result in
            guard case .success(let rows) = result, let text = rows.first?.optional(0), let number = Int(text) else {
                return completion(nil)
            }
            completion(LabTime(nanoseconds: 0) + .milliseconds(number))
        }
    }

    /// Takes one, until then; false: another instance was faster.
    func lease(_ due: Due, until time: LabTime, _ completion: @escaping (Bool) -> Void) {
        database.execute(
            "update notifications set lease = $3 where id = $1 and lease = $2 and state = 'pending'",
            [.number(due.notification.id), .number(due.lease), .number(Self.milliseconds(time))]
        ) { result in
            if case .success(let results) = result {
                completion(results.last?.affectedCount == 1)
            } else {
                completion(false)
            }
        }
    }

    /// What has become of an attempt: the row and its history together.
    func settle(
        _ notification: Notification, _ outcome: Notification.Outcome, next: LabTime?, at time: LabTime,
        _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        let (word, detail) = Self.words(outcome)
        database.atomically(
            [
                ShopStatement(
                    "update notifications set state = $2, attempts = $3, due_at = $4, lease = 0, detail = $5, "
                        + "settled_at = $6 where id = $1 and state = 'pending'",
                    [
                        .number(notification.id), .text(notification.state.rawValue), .number(notification.attempts),
                        .number(Self.milliseconds(next ?? time)), .text(detail), next == nil ? .text("\(time)") : nil,
                    ], expected: 1),
                ShopStatement(
                    "insert into notification_attempts (notification_id, number, at, outcome, detail) "
                        + "values ($1, $2, $3, $4, $5)",
                    [
                        .number(notification.id), .number(notification.attempts), .text("\(time)"), .text(word),
                        .text(detail),
                    ]),
            ], completion)
    }

    private static func words(_ outcome: Notification.Outcome) -> (String, String) {
        switch outcome {
        case .sent(let text): ("sent", String(text.prefix(500)))
        case .postponed(let text): ("postponed", String(text.prefix(500)))
        case .refused(let text): ("refused", String(text.prefix(500)))
        case .nobody(let text): ("nobody", String(text.prefix(500)))
        }
    }

    private static func milliseconds(_ time: LabTime) -> Int { Int(time.nanoseconds / 1_000_000) }

    // MARK: Looking

    private static let columns =
        "id, event_id, order_id, user_id, channel, template, recipient, subject, state, attempts, detail, created_at, "
        + "settled_at"

    struct Filter {
        var order: String?
        var user: String?
        var state: Notification.State?
    }

    func list(_ filter: Filter, limit: Int, _ completion: @escaping (Result<[JSONValue], ShopStoreFailure>) -> Void) {
        database.rows(
            "select \(Self.columns) from notifications where ($1::text is null or order_id = $1) "
                + "and ($2::text is null or user_id = $2) and ($3::text is null or state = $3) "
                + "order by id limit \(limit)",
            [filter.order.map { .text($0) }, filter.user.map { .text($0) }, filter.state.map { .text($0.rawValue) }]
        ) { completion($0.map { $0.map(Self.json) }) }
    }

    /// One of them with its attempts.
    func find(_ id: Int, _ completion: @escaping (Result<JSONValue?, ShopStoreFailure>) -> Void) {
        database.rows("select \(Self.columns), body from notifications where id = $1", [.number(id)]) {
            [database] result in
            guard case .success(let rows) = result, let row = rows.first, case .object(let members) = Self.json(row)
            else {
                return completion(result.map { _ in nil })
            }
            database.rows(
                "select number, at, outcome, detail from notification_attempts where notification_id = $1 "
                    + "order by number",
                [.number(id)]
            ) { result in
                completion(
                    result.map { attempts in
                        let history = attempts.map { attempt -> JSONValue in
                            [
                                "number": .integer(attempt.number(0)), "at": .string(attempt.text(1)),
                                "outcome": .string(attempt.text(2)), "detail": .string(attempt.text(3)),
                            ]
                        }
                        let more: [(key: String, value: JSONValue)] = [
                            ("body", .string(row.text(13))), ("history", .array(history)),
                        ]
                        return .object(members + more)
                    })
            }
        }
    }

    private static func json(_ row: ShopRow) -> JSONValue {
        [
            "id": .integer(row.number(0)), "event_id": .string(row.text(1)), "order_id": .string(row.text(2)),
            "user_id": .string(row.text(3)), "channel": .string(row.text(4)), "template": .string(row.text(5)),
            "recipient": .string(row.text(6)), "subject": .string(row.text(7)), "state": .string(row.text(8)),
            "attempts": .integer(row.number(9)), "detail": .string(row.text(10)), "created_at": .string(row.text(11)),
            "settled_at": row.optional(12).map { .string($0) } ?? .null,
        ]
    }

    /// Has a dead one tried again; false: there is no dead one of that number.
    func revive(_ id: Int, at time: LabTime, _ completion: @escaping (Result<Bool, ShopStoreFailure>) -> Void) {
        database.execute(
            "update notifications set state = 'pending', due_at = $2, lease = 0 where id = $1 and state = 'dead'",
            [.number(id), .number(Self.milliseconds(time))]
        ) { completion($0.map { $0.last?.affectedCount == 1 }.mapError { ShopStoreFailure($0) }) }
    }

    // MARK: Templates

    func form(
        _ channel: Notification.Channel, _ template: String,
        _ completion: @escaping (Result<(subject: String, body: String)?, ShopStoreFailure>) -> Void
    ) {
        database.rows(
            "select subject, body from notification_templates where channel = $1 and template = $2",
            [.text(channel.rawValue), .text(template)]
        ) { completion($0.map { $0.first.map { ($0.text(0), $0.text(1)) } }) }
    }

    func setForm(
        _ channel: Notification.Channel, _ template: String, subject: String, body: String,
        _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        database.atomically(
            [
                ShopStatement(
                    "insert into notification_templates (channel, template, subject, body) values ($1, $2, $3, $4) "
                        + "on conflict (channel, template) do update set subject = excluded.subject, "
                        + "body = excluded.body",
                    [.text(channel.rawValue), .text(template), .text(subject), .text(body)])
            ], completion)
    }
}
