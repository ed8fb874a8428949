import CSystem
import Glibc
import KernelWorld

/// Namespaces of the machine that this process makes for itself: a network and mounts that nobody else has.
///
/// What is done to them (an interface that loses packets, a disk that is full, another `/etc/hosts`) happens to this
/// process and to those that it starts, and ends with the last of them.
public enum HostNamespaces {
    private static let variable = "SDLAB_OUTSIDE"

    /// Becomes the same program in a network and mounts of its own, by unshare(1): without root also in a namespace of
    /// users, in which it is root. The process keeps its number, its terminal and its streams.
    ///
    /// - Returns: only if that cannot be done, with the reason.
    public static func enter() -> String {
        guard let unshare = HostShell.path(of: "unshare"), HostShell.path(of: "ip") != nil else {
            return "unshare and ip are needed (Debian: util-linux, iproute2)"
        }
        guard let outside = current, let program = link("/proc/self/exe") else { return "there is no /proc here" }
        var words = [unshare, "--net", "--mount"]
        if geteuid() != 0 { words.append("--map-root-user") }
        if let problem = problem(words) { return problem }
        setenv(variable, outside, 1)
        words += ["/bin/sh", "-c", "ip link set lo up && exec \"$0\" \"$@\"", program]
        words += CommandLine.arguments.dropFirst()
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        execv(unshare, &arguments)
        let reason = errorText(errno)
        for argument in arguments { free(argument) }
        return "\(unshare): \(reason)"
    }

    /// Whether this process has come there by `enter`: what it does to them is nobody else's then.
    public static var isInside: Bool {
        guard let pointer = getenv(variable), let current else { return false }
        let outside = String(cString: pointer).split(separator: " ")
        let now = current.split(separator: " ")
        return outside.count == 2 && now.count == 2 && outside[0] != now[0] && outside[1] != now[1]
    }

    /// The network and the mounts, as the kernel calls them.
    private static var current: String? {
        guard let network = link("/proc/self/ns/net"), let mounts = link("/proc/self/ns/mnt") else { return nil }
        return "\(network) \(mounts)"
    }

    private static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// Why such namespaces cannot be had; nil if they can.
    private static func problem(_ words: [String]) -> String? {
        switch HostShell.open(words + ["/bin/sh"]) {
        case .failure(let error): return "\(error)"
        case .success(let shell):
            let answer = shell.run("ip link set lo up", limit: .seconds(5))
            shell.close()
            if answer.status == 0 { return nil }
            return answer.output.split(separator: "\n").first.map(String.init) ?? "unshare ended"
        }
    }
}
