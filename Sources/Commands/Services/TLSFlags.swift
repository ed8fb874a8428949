import CommandKit
import KernelStorage
import KernelStructures
import KernelTLS
import ShellSession

/// The flags that put a service, or a client's connection, behind TLS.
package enum TLSFlags {
    package static let directory = CommandDescription.Flag(
        "tls-dir", nil, .file, "where the lab's certificate authority is kept (~/.local/share/sdlab/ca)")

    /// For services.
    package static let server: [CommandDescription.Flag] = [
        .init("tls", nil, "speaks TLS; its certificate is the lab's (see help ca)"),
        .init("tls-cert", nil, .file, repeatable: true, "another certificate, PEM; with several, by SNI"),
        .init("tls-key", nil, .file, repeatable: true, "the certificate's key, if not in the same file"),
        .init("tls-client-ca", nil, .file, "clients need a certificate that one of these authorities signed"),
        .init(
            "tls-client", nil, .choice(TLSServerOptions.ClientCertificates.allCases.map(\.rawValue)),
            "whether clients need a certificate (none; required with --tls-client-ca)"), directory,
    ]

    /// For clients that take redis-cli's flags.
    package static let client: [CommandDescription.Flag] =
        [.init("tls", nil, "speaks TLS")] + towards("the server") + [directory]

    /// For services that are a client of somebody else, whose URL says whether that is over TLS.
    package static func towards(_ whom: String) -> [CommandDescription.Flag] {
        [
            .init("cacert", nil, .file, "who vouches for \(whom), PEM (the lab's)"),
            .init("cert", nil, .file, "the certificate to show, PEM"), .init("key", nil, .file, "its key"),
            .init("sni", nil, .text("NAME"), "the name to ask for, in place of the host's"),
            .init("insecure", nil, "does not check the certificate of \(whom)"),
        ]
    }

    /// What the server's flags ask for; nil without TLS.
    ///
    /// - Throws: `CommandFailure` about a file that cannot be used, `UsageError` about flags that do not go together.
    package static func serving(_ invocation: Invocation, command: String) throws -> TLSServing? {
        let arguments = invocation.arguments
        useDirectory(invocation)
        let certificates = arguments.texts("tls-cert")
        let keys = arguments.texts("tls-key")
        let demand = arguments.text("tls-client").flatMap { TLSServerOptions.ClientCertificates(rawValue: $0) }
        let authorities = arguments.text("tls-client-ca")
        guard arguments.has("tls") || !certificates.isEmpty else {
            if let flag = [("tls-key", keys.first), ("tls-client-ca", authorities), ("tls-client", demand?.rawValue)]
                .first(where: { $0.1 != nil })
            {
                throw UsageError("\(command): --\(flag.0) is for a service that speaks TLS; add --tls")
            }
            return nil
        }
        guard keys.isEmpty || keys.count == certificates.count else {
            throw UsageError(
                "\(command): \(counted(certificates.count, "--tls-cert")) and \(counted(keys.count, "--tls-key")); "
                    + "give one key for each certificate, or files that have both")
        }
        var serving = TLSServing()
        for (index, file) in certificates.enumerated() {
            serving.options.identities.append(
                try identity(certificate: file, key: keys.isEmpty ? file : keys[index], invocation))
        }
        if let authorities { serving.options.clientAuthorities = try clientAuthorities(authorities, invocation) }
        serving.options.clientCertificates = demand ?? (authorities == nil ? .none : .required)
        return serving
    }

    /// What the client's flags ask for; nil without TLS.
    package static func client(_ invocation: Invocation) throws -> TLSClient? {
        useDirectory(invocation)
        return invocation.arguments.has("tls") ? try connecting(invocation) : nil
    }

    /// What a client connects with that speaks TLS.
    package static func connecting(_ invocation: Invocation) throws -> TLSClient {
        useDirectory(invocation)
        do throws(TLSConfigurationError) {
            var options = try TLSClientOptions.lab(invocation.session.world)
            try fill(&options, invocation)
            return try TLSClient(options)
        } catch {
            throw CommandFailure(error.description)
        }
    }

    /// The first of `towards` that is given, where it makes no sense.
    package static func given(_ arguments: ParsedArguments) -> String? {
        ["cacert", "cert", "key", "sni", "insecure"].first { arguments.has($0) }
    }

    private static func fill(_ options: inout TLSClientOptions, _ invocation: Invocation) throws(TLSConfigurationError)
    {
        let arguments = invocation.arguments
        options.serverName = arguments.text("sni")
        if arguments.has("insecure") { options.verification = .none }
        if let file = arguments.text("cacert") {
            options.trustsMachine = false
            options.authorities = try certificates(file, invocation)
        }
        if let file = arguments.text("cert") {
            options.identity = try read(certificate: file, key: arguments.text("key") ?? file, invocation)
        }
    }

    /// `--tls-dir` says where the lab's authority is, for this command and those that come after it.
    package static func useDirectory(_ invocation: Invocation) {
        guard let directory = invocation.arguments.text("tls-dir") else { return }
        let session = invocation.session
        LabAuthority.of(session.world).place = .init(
            disk: session.world.disk, directory: session.files.absolute(directory))
    }

    // MARK: Files

    private static func identity(certificate: String, key: String, _ invocation: Invocation) throws -> TLSIdentity {
        do throws(TLSConfigurationError) {
            return try read(certificate: certificate, key: key, invocation)
        } catch {
            throw CommandFailure(error.description)
        }
    }

    private static func clientAuthorities(_ file: String, _ invocation: Invocation) throws -> [Certificate] {
        do throws(TLSConfigurationError) {
            return try certificates(file, invocation)
        } catch {
            throw CommandFailure(error.description)
        }
    }

    package static func certificates(_ file: String, _ invocation: Invocation) throws(TLSConfigurationError)
        -> [Certificate]
    {
        try Certificate.read(pem: try bytes(file, .certificate, invocation), name: file)
    }

    package static func read(certificate: String, key: String, _ invocation: Invocation) throws(TLSConfigurationError)
        -> TLSIdentity
    {
        try TLSIdentity(
            certificates: try bytes(certificate, .certificate, invocation), key: try bytes(key, .key, invocation),
            name: certificate, keyName: key)
    }

    private static func bytes(_ file: String, _ kind: TLSConfigurationError.Kind, _ invocation: Invocation)
        throws(TLSConfigurationError) -> [UInt8]
    {
        do throws(LabFileError) {
            return try invocation.session.files.read(file)
        } catch {
            throw TLSConfigurationError(kind, error.description)
        }
    }
}
