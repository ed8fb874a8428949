import KernelStructures

/// The people of a shop: who they are, and how they hear of their orders.
///
/// ## An everyday picture
///
/// A members' club with a doorman and a secretary. The doorman has a book with the members and an imprint of each one's
/// pass phrase, from which nobody can read the phrase itself. Who says it right gets a wristband for a quarter of an
/// hour and a cloakroom ticket; for the ticket there is a new wristband and a new ticket, each time. A ticket that
/// somebody shows a second time has been copied, so its whole row is torn up. The secretary reads what happens to
/// orders from a pile of slips, writes letters by a form, and carries them to the post. He ticks off each slip in a
/// book before he puts it away, so a slip that turns up twice is answered once; and he comes back to a closed post
/// office later.
///
/// ## How
///
/// ```
///   UserService           users, signing keys ──▶ database       sessions ──▶ cache (RESP)
///      register, login ──▶ scrypt beside the loop ──▶ JWT (15 min) + refresh token (30 days)
///   NotificationService   AMQP ──▶ inbox (event once) + notifications ──▶ one transaction, then the ack
///      due ──▶ leased ──▶ SMTP ──▶ sent, or again with growing pauses, or dead
///   Mailbox               SMTP ──▶ a file for each letter, synced before 250
/// ```
///
/// `PasswordHash`, `SessionRecord`, `OrderEvent`, `MessageTemplate` and the two halves of SMTP are values: they take
/// bytes and times and say what is to be done.
///
/// ## Where it is wrong
///
/// A token is good until its quarter of an hour is over, whoever logs out meanwhile, unless the verifier asks
/// (`/introspect`). Between the post's 250 and the tick in the book a crash sends a letter twice, under the same
/// Message-ID: the lab's mailbox knows it again, as some real ones do. Nobody proves that an address is theirs.
public enum ShopAccounts {
    /// What tokens say of their issuer and their readers.
    public static let issuer = "users"
    public static let audience = "shop"
}

/// What somebody asks for when they register or change their profile.
public struct AccountWish: Equatable, Sendable {
    public var email: EmailAddress?
    public var password: String?
    public var name: String?
    public var phone: String?

    public static let passwordBytes = 8...256
    public static let nameLimitBytes = 128

    public init() {}

    /// - Throws: what is wrong, with the name of the member.
    public init(email: String?, password: String?, name: String?, phone: String?) throws(AccountProblem) {
        if let email {
            guard let address = EmailAddress(parsing: email) else {
                throw AccountProblem("email", "'\(AccountProblem.shown(email))' is no address such as user@example.com")
            }
            self.email = address
        }
        if let password {
            guard Self.passwordBytes.contains(password.utf8.count) else {
                throw AccountProblem(
                    "password",
                    "a password has \(Self.passwordBytes.lowerBound) to \(Self.passwordBytes.upperBound) bytes, not "
                        + "\(password.utf8.count)")
            }
            self.password = password
        }
        if let name {
            guard name.utf8.count <= Self.nameLimitBytes, name.unicodeScalars.allSatisfy({ $0.value >= 32 }) else {
                throw AccountProblem("name", "a name has at most \(Self.nameLimitBytes) bytes, in one line")
            }
            self.name = name
        }
        if let phone {
            guard Self.isPhone(phone) else {
                throw AccountProblem("phone", "'\(AccountProblem.shown(phone))' is no number such as +15551234567")
            }
            self.phone = phone
        }
    }

    /// E.164: a plus and 5 to 15 digits; an empty text takes the number away.
    private static func isPhone(_ text: String) -> Bool {
        if text.isEmpty { return true }
        let digits = text.utf8.dropFirst()
        return text.utf8.first == UInt8(ascii: "+") && (5...15).contains(digits.count)
            && digits.allSatisfy { (48...57).contains($0) }
    }
}

/// What is wrong with a wish.
public struct AccountProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// `email`
    public let member: String
    public let problem: String

    init(_ member: String, _ problem: String) {
        self.member = member
        self.problem = problem
    }

    public var description: String { "\(member): \(problem)" }

    static func shown(_ text: String) -> String { text.utf8.count <= 64 ? text : String(text.prefix(48)) + "…" }
}
