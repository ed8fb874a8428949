import CacheLayerEngine
import KernelJSON
import KernelStructures

/// What `users-api` is about.
public final class User: Sendable {
    public let id: Int
    public let name: String
    public let email: String
    /// How often the row has been written; grows by one with each. 0: nobody has asked the database.
    public let version: UInt64

    public init(id: Int, name: String, email: String, version: UInt64 = 0) {
        self.id = id
        self.name = name
        self.email = email
        self.version = version
    }

    /// - Parameter version: in place of its own.
    public func json(version: UInt64 = 0) -> JSONValue {
        let known = max(version, self.version)
        return .object(
            [("id", .integer(id)), ("name", .string(name)), ("email", .string(email))]
                + (known > 0 ? [("version", .integer(Int(clamping: known)))] : []))
    }

    /// How it stands in the shared cache and in the journal.
    static let codec = CacheCodec(
        encode: { object in
            guard let user = object as? User else { return [] }
            var writer = RecordWriter()
            writer.append(user.id)
            writer.append(user.name)
            writer.append(user.email)
            writer.append(user.version)
            return writer.bytes
        },
        decode: { bytes in
            var reader = RecordReader(bytes)
            let user = User(
                id: try reader.integer(), name: try reader.text(), email: try reader.text(),
                version: try reader.unsigned())
            try reader.expectEnd()
            return user
        })
}
