import CommandKit
import KernelStructures
import ShellSession

extension CurlCommands {
    /// The HTTP client of the lab, with curl's flags, messages and exit codes.
    static var curl: Command {
        let description = CommandDescription(
            "curl", "asks over HTTP, with curl's flags, messages and exit codes", usage: "[FLAGS] URL…",
            flags: CurlOptions.flags, arguments: .init([.url], 0...1000),
            examples: [
                "curl http://localhost:8081/",
                "curl -i -X POST -d '{\"a\":1}' -H 'X-Tenant: 7' http://localhost:8081/echo",
                "curl -s -o /dev/null -w '%{http_code} %{time_total}\\n' http://localhost:8081/",
                "curl --max-time 2 --retry 3 http://localhost:8081/",
            ], group: .clients,
            details: """
                Exit codes are curl's: 3 malformed URL, 6 unknown host, 7 refused, 18 cut short,
                22 status with -f, 23 write error, 28 timeout, 47 too many redirects,
                52 empty reply, 56 reset. Names are the lab's nodes, localhost, and
                host.internal for the machine outside. No progress meter.
                """)
        return Command(description) { invocation in
            let options = try CurlOptions(invocation)
            return .running(CurlProgram(invocation.process, options))
        }
    }
}
