import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShopAccountsEngine
import ShopKitService

/// The people's rows, and the keys that sign their tokens.
final class UserStore {
    static let schema = [
        """
        create table if not exists users (number bigserial primary key, email text not null, \
        email_folded text unique not null, password_hash text, name text not null, phone text not null, \
        created_at text not null)
        """,
        """
        create table if not exists signing_keys (generation bigint primary key, jwk text not null, \
        created_at text not null)
        """,
    ]

    struct Account {
        let id: String
        let email: String
        let name: String
        let phone: String
        let createdAt: String
        let passwordHash: String?

        /// What others may see of it.
        var json: JSONValue {
            [
                "user_id": .string(id), "email": .string(email), "name": .string(name), "phone": .string(phone),
                "created_at": .string(createdAt),
            ]
        }
    }

    private static let columns = "number, email, name, phone, created_at, password_hash"
    private let database: ShopDatabase

    init(_ database: ShopDatabase) { self.database = database }

    /// Whose address somebody else has is a conflict: the database decides, not a question before.
    func insert(
        _ email: EmailAddress, hash: PasswordHash?, _ wish: AccountWish, at time: String,
        _ completion: @escaping (Result<String, ShopStoreFailure>) -> Void
    ) {
        database.rows(
            "insert into users (email, email_folded, password_hash, name, phone, created_at) "
                + "values ($1, $2, $3, $4, $5, $6) returning number",
            [
                .text(email.description), .text(email.folded), hash.map { .text($0.text) }, .text(wish.name ?? ""),
                .text(wish.phone ?? ""), .text(time),
            ]
        ) { result in completion(result.map { "u\($0.first?.number(0) ?? 0)" }) }
    }

    func find(email: EmailAddress, _ completion: @escaping (Result<Account?, ShopStoreFailure>) -> Void) {
        database.rows("select \(Self.columns) from users where email_folded = $1", [.text(email.folded)]) {
            completion($0.map { $0.first.map(Self.account) })
        }
    }

    func find(id: String, _ completion: @escaping (Result<Account?, ShopStoreFailure>) -> Void) {
        guard let number = Self.number(id) else { return completion(.success(nil)) }
        database.rows("select \(Self.columns) from users where number = $1", [.number(number)]) {
            completion($0.map { $0.first.map(Self.account) })
        }
    }

    func change(id: String, _ wish: AccountWish, _ completion: @escaping (Result<Account?, ShopStoreFailure>) -> Void) {
        guard let number = Self.number(id) else { return completion(.success(nil)) }
        database.rows(
            "update users set name = coalesce($2, name), phone = coalesce($3, phone) where number = $1 "
                + "returning \(Self.columns)",
            [.number(number), wish.name.map { .text($0) }, wish.phone.map { .text($0) }]
        ) { completion($0.map { $0.first.map(Self.account) }) }
    }

    private static func number(_ id: String) -> Int? { id.first == "u" ? Int(id.dropFirst()) : nil }

    private static func account(_ row: ShopRow) -> Account {
        Account(
            id: "u\(row.number(0))", email: row.text(1), name: row.text(2), phone: row.text(3), createdAt: row.text(4),
            passwordHash: row.optional(5))
    }

    // MARK: Keys

    struct StoredKey {
        let generation: Int
        let text: String
        let createdAt: LabTime
    }

    /// The newest first.
    func keys(_ completion: @escaping (Result<[StoredKey], ShopStoreFailure>) -> Void) {
        database.rows(
            "select generation, jwk, created_at from signing_keys order by generation desc limit 50"
        ) { result in
            completion(
                result.map { rows in
                    rows.map {
                        StoredKey(
                            generation: $0.number(0), text: $0.text(1),
                            createdAt: LabTime(parsing: $0.text(2)) ?? LabTime(nanoseconds: 0))
                    }
                })
        }
    }

    /// A conflict says that another instance has made that generation: its key counts.
    func insert(
        generation: Int, key: String, at time: LabTime, _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        database.atomically(
            [
                ShopStatement(
                    "insert into signing_keys (generation, jwk, created_at) values ($1, $2, $3)",
                    [.number(generation), .text(key), .text("\(time)")], expected: 1)
            ], completion)
    }
}
