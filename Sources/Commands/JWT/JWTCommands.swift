import CommandKit
import CommandServices
import KernelJWT
import KernelStructures
import ShellSession

/// What is typed about signed tokens.
package enum JWTCommands {
    package static var all: [Command] { [jwt] }

    private static var jwt: Command {
        let description = CommandDescription(
            "jwt", "makes, reads and judges signed tokens (JWT), and the keys for them", operates: false,
            subcommands: KeyWords.subcommands + TokenWords.subcommands, group: .clients, role: .action,
            details: """
                keys.json is a set of private keys (JWK, RFC 7517); the first one signs. Serve
                what 'jwt jwks' prints, never keys.json. Keys of curves and secrets come from
                the lab's chance, so a case makes the same ones each time: for learning only.
                """)
        return Command(description) { invocation in
            switch invocation.arguments.verb {
            case "keys", "jwks": try KeyWords(invocation).outcome
            default: try TokenWords(invocation).outcome
            }
        }
    }
}

/// The file with the keys.
struct KeyFile {
    static let defaultPath = "keys.json"
    static let flag = CommandDescription.Flag("keys", "k", .file, "the file with the keys (\(defaultPath))")

    let path: String
    private let files: LabFiles

    init(_ invocation: Invocation) {
        path = invocation.arguments.text("keys") ?? Self.defaultPath
        files = invocation.session.files
    }

    var exists: Bool { files.exists(path) }

    /// A set of keys, one key, or PEM text.
    func read() throws(CommandFailure) -> JWKSet {
        let bytes: [UInt8]
        do throws(LabFileError) {
            bytes = try files.read(path)
        } catch {
            throw CommandFailure("\(error); 'jwt keys new --keys \(path)' makes keys")
        }
        do throws(JWKError) {
            if bytes.starts(with: "-----BEGIN".utf8) { return try JWKSet(keys: [try JWK(pem: bytes)]) }
            return try JWKSet(parsing: bytes)
        } catch {
            throw CommandFailure("\(path): \(error)")
        }
    }

    func write(_ keys: [JWK]) throws(CommandFailure) {
        do {
            let set = try JWKSet(keys: keys)
            try files.write(set.jsonWithPrivate().bytes(.pretty) + [UInt8(ascii: "\n")], to: path)
        } catch {
            throw CommandFailure("\(path): \(error)")
        }
    }
}
