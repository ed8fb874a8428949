import CommandKit
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import ShellSession

/// What curl's flags say about TLS and about where a host is.
struct CurlTLSOptions {
    var isInsecure = false
    var authorities: (name: String, pem: [UInt8]?)?
    var certificate: (name: String, pem: [UInt8]?)?
    var key: (name: String, pem: [UInt8]?)?
    var lowest = TLSVersion.tls12
    var highest = TLSVersion.tls13
    var addresses: [(place: HostPort, address: String)] = []

    static let flags: [CommandDescription.Flag] = [
        .init("insecure", "k", "does not check the server's certificate"),
        .init("cacert", nil, .file, "who vouches for the server, PEM (the lab's authority)"),
        .init("cert", "E", .file, "the certificate to show, PEM"),
        .init("key", nil, .file, "its key, if not in the same file"),
        .init("tlsv1.2", nil, "TLS 1.2 or later"), .init("tlsv1.3", nil, "TLS 1.3 or later"),
        .init("tls-max", nil, .choice(["default", "1.2", "1.3"]), "the latest TLS to speak"),
        .init("resolve", nil, .text("HOST:PORT:ADDR"), repeatable: true, "where that host is, whatever its name says"),
    ]

    /// What curl says after an error 60.
    static let advice = """
        More details here: https://curl.se/docs/sslcerts.html

        curl failed to verify the legitimacy of the server and therefore could not
        establish a secure connection to it. To learn more about this situation and
        how to fix it, please visit the web page mentioned above.

        """

    /// A transfer cannot begin.
    struct Trouble: Error {
        let text: String
        let status: Int
    }

    init() {}

    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        isInsecure = arguments.has("insecure")
        func file(_ flag: String) -> (String, [UInt8]?)? {
            arguments.text(flag).map { ($0, try? invocation.session.files.read($0)) }
        }
        authorities = file("cacert")
        certificate = file("cert")
        key = file("key") ?? certificate
        if arguments.has("tlsv1.3") { lowest = .tls13 }
        highest = arguments.text("tls-max").flatMap { TLSVersion(parsing: $0) } ?? .tls13
        for text in arguments.texts("resolve") {
            let parts = text.split(separator: ":", maxSplits: 2).map(String.init)
            guard parts.count == 3, let port = UInt16(parts[1]), port > 0 else {
                throw CommandFailure("(49) Couldn't parse CURLOPT_RESOLVE entry '\(text)'", status: 49)
            }
            addresses.append((HostPort(host: parts[0].lowercased(), port: port), parts[2]))
        }
    }

    /// Where to connect to in order to reach the destination.
    func resolved(_ destination: HostPort) -> HostPort {
        let match = addresses.last {
            $0.place.port == destination.port
                && ($0.place.host == destination.host.lowercased() || $0.place.host == "*")
        }
        return match.map { HostPort(host: $0.address, port: destination.port) } ?? destination
    }

    /// The connecting end of TLS.
    ///
    /// - Throws: `Trouble` with curl's words and status.
    func makeClient(_ process: Process) throws -> TLSClient {
        var options = try TLSClientOptions.lab(process.session.world)
        options.applicationProtocols = ["http/1.1"]
        guard lowest <= highest else {
            throw Trouble(text: "CURL_SSLVERSION_MAX incompatible with CURL_SSLVERSION", status: 35)
        }
        options.versions = lowest...highest
        if isInsecure { options.verification = .none }
        if let authorities {
            options.trustsMachine = false
            guard let pem = authorities.pem, let read = try? Certificate.read(pem: pem, name: authorities.name) else {
                throw Trouble(text: "error setting certificate file: \(authorities.name)", status: 77)
            }
            options.authorities = read
        }
        options.identity = try identity()
        return try TLSClient(options)
    }

    private func identity() throws -> TLSIdentity? {
        guard let certificate else { return nil }
        let chain: [Certificate]
        do {
            chain = try Certificate.read(pem: certificate.pem ?? [], name: certificate.name)
        } catch {
            let reason =
                certificate.pem == nil
                ? "error:80000002:system library::No such file or directory" : error.reason
            throw Trouble(
                text: "could not load PEM client certificate from \(certificate.name), OpenSSL error \(reason), "
                    + "(no key found, wrong pass phrase, or wrong file format?)", status: 58)
        }
        guard let key, let pem = key.pem, let read = try? PrivateKey(pem: pem, name: key.name) else {
            throw Trouble(
                text: "unable to set private key file: '\(key?.name ?? certificate.name)' type PEM", status: 58)
        }
        do {
            return try TLSIdentity(certificates: chain, key: read, name: certificate.name)
        } catch {
            throw Trouble(text: "unable to set private key file: '\(key.name)' type PEM", status: 58)
        }
    }
}
