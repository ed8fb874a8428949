/// How a pooler shares few sessions of a database among many clients: the decisions, apart from any socket.
///
/// ## The problem
///
/// To PostgreSQL each client is a process with memory of its own. A thousand web workers that each hold a session,
/// and use it for two milliseconds a second, cost it a thousand processes, of which two have something to do. No
/// worker knows of the others, so no pool within a worker can help.
///
/// ## An everyday picture
///
/// A taxi rank in front of a station. Whoever gets off the train need not own a car: a few dozen cars carry thousands
/// of people, because nobody needs one for more than a ride. How long a ride is has to be agreed upon: one may keep
/// the car for the whole stay (session pooling), for one errand with all its stops (transaction pooling), or from door
/// to door, and get out at every stop (statement pooling). What the last passenger left on the seat (settings,
/// temporary tables, half an errand) must be gone before the next one gets in; and whoever wired his own radio into
/// one car does not find it in the next: that is what prepared statements are.
///
/// ## How
///
/// ```
///   client ──▶ Relay frames ──▶ Conversation: what is owed ──▶ server
///          ◀─────────────────── answers, less those nobody asked for ◀──
/// ```
///
/// The pooler reads no more of what goes by than letters and lengths (`RelayFrames`). `Conversation` counts what a
/// server still owes: when it owes nothing and says that no transaction is open, its client has no more claim to it.
/// Prepared statements get names of the pooler's own (`StatementCatalogue`), and are prepared again, unseen, at
/// whatever server their client gets next. Settings that a client has made known (`client_encoding`, `TimeZone` …) are
/// set on the server before it is lent (`TrackedSettings`). Who gets which server, when another one is opened, and
/// which one has to go, the connection pool's engine decides.
///
/// Names, defaults and semantics are pgbouncer's 1.18, with prepared statements as from 1.21 on.
///
/// ## Where it is wrong
///
/// What lives in a session does not survive transaction pooling: temporary tables, `SET`, `LISTEN`, advisory locks,
/// cursors `WITH HOLD`. Nothing warns of it; the next statement just meets another session. And a pooler moves the
/// queue, it does not shorten it: if transactions come faster than the servers finish them, clients wait here instead
/// of there, until `query_wait_timeout` says so.
public enum PoolingMode: String, CaseIterable, Sendable {
    /// A client keeps its server until it leaves.
    case session
    /// A server goes back when no transaction is open.
    case transaction
    /// A server goes back after each statement; transactions are refused.
    case statement
}
