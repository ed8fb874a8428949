import KernelTLS
import KernelWire
import KernelWorld
import ShellSession

extension PostgresURL {
    /// What its connections are made secret with, as its `sslmode` asks; nil if it asks for nothing. The lab's
    /// authority vouches.
    ///
    /// - Throws: `CommandFailure` where the lab has no authority.
    public func security(in world: World) throws -> TLSClient? {
        guard tls != .disable else { return nil }
        do throws(TLSConfigurationError) {
            var options = try TLSClientOptions.lab(world)
            switch tls {
            case .verifyFull: options.verification = .full
            case .verifyAuthority: options.verification = .authority
            case .disable, .prefer, .require: options.verification = .none
            }
            return try TLSClient(options)
        } catch {
            throw CommandFailure(error.description)
        }
    }
}
