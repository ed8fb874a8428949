import CommandKit
import CommandServices
import KernelStructures
import KernelTLS
import ShellSession

extension GeneralCommands {
    /// `ca export lab-ca.pem`
    static var ca: Command {
        let verbs = ["show", "export", "issue"]
        let description = CommandDescription(
            "ca", "the lab's certificate authority: shows it, or signs certificates",
            usage: "show [FILE] | export FILE | issue NAME… [FLAGS]",
            flags: [
                .init("cert", nil, .file, "issue: where the certificate goes (NAME.pem)"),
                .init("key", nil, .file, "issue: where its key goes (NAME-key.pem)"),
                .init("days", nil, .integer(1...36_500), "issue: how long it is valid, from now (until 2099)"),
                .init("self-signed", nil, "issue: signed by nobody but itself"), TLSFlags.directory, CommonFlags.json,
            ],
            arguments: .init([.word(verbs), .text], 1...100),
            examples: [
                "ca show", "ca export lab-ca.pem", "ca issue shop.lab www.shop.lab", "ca issue alice --days 30",
                "ca show alice.pem",
            ],
            group: .session, tags: [TLSServing.tag],
            details: """
                show [FILE]     the authority's certificate, or those of a file
                export FILE     writes the authority's certificate, for whoever is to trust
                                it: curl --cacert FILE https://… (FILE is the lab's;
                                ca show says which one programs outside can read)
                issue NAME…     signs a certificate for these host names and addresses, good
                                for servers and clients
                The authority is made when it is first asked for. Every node of the lab trusts
                it, and shows a certificate of it with --tls. At the prompt and in processes of
                their own it is kept in ~/.local/share/sdlab/ca (ca.pem is for others,
                ca-key.pem is not); under `test` it ends with the test.
                """)
        return Command(description) { invocation in
            TLSFlags.useDirectory(invocation)
            var words = invocation.arguments.arguments
            let verb = words.removeFirst()
            do throws(TLSConfigurationError) {
                switch verb {
                case "show" where words.count <= 1: return .view(try shown(words.first, invocation))
                case "export" where words.count == 1: try exported(words[0], invocation)
                case "issue" where !words.isEmpty: try issued(words, invocation)
                default: throw TLSConfigurationError(.other, complaint(verb, verbs))
                }
            } catch {
                if error.kind == .other { throw UsageError("ca: \(error)") }
                throw CommandFailure(error.description)
            }
            return .success
        }
    }

    private static func complaint(_ verb: String, _ verbs: [String]) -> String {
        switch verb {
        case "show": "show takes one file, or none"
        case "export": "export to which file? ca export lab-ca.pem"
        case "issue": "a certificate for whom? ca issue shop.lab"
        default: "unknown verb '\(verb)'\(didYouMean(verb, among: verbs))"
        }
    }

    private static func authority(_ invocation: Invocation) throws(TLSConfigurationError) -> CertificateAuthority {
        try LabAuthority.of(invocation.session.world).authority()
    }

    private static func shown(_ file: String?, _ invocation: Invocation) throws(TLSConfigurationError) -> View {
        if let file {
            let all = try TLSFlags.certificates(file, invocation)
            guard all.count > 1 else { return view(all[0], file: nil) }
            return View(
                .table(
                    .init(
                        [
                            .init("subject", key: "subject"), .init("names", key: "names", flexible: true),
                            .init("issuer", key: "issuer"), .init("valid until", key: "valid_until"),
                        ],
                        rows: all.map { one in
                            [
                                .text(one.subject), .text(one.names.joined(separator: " ")), .text(one.issuer),
                                .text(one.validUntil.description),
                            ]
                        }, whenEmpty: "")))
        }
        return view(
            try authority(invocation).certificate,
            file: LabAuthority.of(invocation.session.world).place?.publicFile ?? "none; it ends with this lab")
    }

    private static func view(_ one: Certificate, file: String?) -> View {
        var rows: [View.Field] = [
            .init("subject", key: "subject", .text(one.subject)), .init("issuer", key: "issuer", .text(one.issuer)),
            .init("valid from", key: "valid_from", .text(one.validFrom.description)),
            .init("valid until", key: "valid_until", .text(one.validUntil.description)),
            .init("serial number", key: "serial_number", .text(one.serialNumber)),
            .init("SHA-256", key: "sha-256", .text(one.fingerprint)),
        ]
        if !one.names.isEmpty {
            rows.insert(.init("names", key: "names", .text(one.names.joined(separator: " "))), at: 1)
        }
        if let file { rows.append(.init("file", key: "file", .text(file))) }
        return View(.record(rows))
    }

    private static func exported(_ file: String, _ invocation: Invocation) throws(TLSConfigurationError) {
        try write(try authority(invocation).certificate.pem, to: file, invocation)
        // In a lab the file is one of the lab's; programs outside have the same certificate elsewhere.
        guard !invocation.session.isProcess, let place = LabAuthority.of(invocation.session.world).place else { return }
        invocation.process.print(
            "\(file): in the lab; for programs outside: \(place.publicFile), or: get \(file)")
    }

    private static func issued(_ names: [String], _ invocation: Invocation) throws(TLSConfigurationError) {
        let arguments = invocation.arguments
        if let bad = names.first(where: { !CertificateAuthority.isName($0) }) {
            throw TLSConfigurationError(
                .other, "'\(bad)' cannot be in a certificate; names have letters, digits, - _ . and at most 63 of them")
        }
        let now = invocation.session.world.now
        var validity = CertificateAuthority.Validity.century
        if let days = arguments.integer("days") {
            validity = .init(from: now - .seconds(60), until: now + .seconds(days * 86_400))
        }
        let key = try PrivateKey.make()
        let identity =
            arguments.has("self-signed")
            ? try CertificateAuthority.selfSigned(names, key: key, validity: validity)
            : try authority(invocation).issue(names, key: key, validity: validity)
        let stem = names[0].hasPrefix("*.") ? "_" + names[0].dropFirst() : names[0]
        try write(identity.certificate.pem, to: arguments.text("cert") ?? "\(stem).pem", invocation)
        try write(identity.key.pem, to: arguments.text("key") ?? "\(stem)-key.pem", invocation)
    }

    private static func write(_ bytes: [UInt8], to file: String, _ invocation: Invocation)
        throws(TLSConfigurationError)
    {
        do throws(LabFileError) {
            try invocation.session.files.write(bytes, to: file)
        } catch {
            throw TLSConfigurationError(.store, error.description)
        }
    }
}
