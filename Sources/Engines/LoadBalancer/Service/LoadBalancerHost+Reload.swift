import KernelStructures
import KernelWorld

/// Why a new configuration was not taken over.
public struct BalancerReloadFailure: Error, CustomStringConvertible {
    public let description: String
}

/// Taking over a new configuration while requests are under way.
///
/// Proxies used to do this by starting a second process beside the first and handing it the listening socket, as the
/// old one could not change its mind. Here the engine compares the two lists: nothing is closed that is in use, so
/// there is nothing to lose.
extension LoadBalancerHost {
    /// Reads the configuration again and takes it over. With an error in it all stays as it is.
    ///
    /// - Throws: `BalancerReloadFailure`, or what reading throws; it has been logged as well.
    public func reload() throws {
        do {
            guard let readAgain else {
                throw BalancerReloadFailure(
                    description: "it was started with --backends; there is no file to read again")
            }
            let new = try readAgain()
            guard new.mode == configuration.mode else {
                throw BalancerReloadFailure(
                    description: "the mode cannot change from \(configuration.mode.rawValue) to \(new.mode.rawValue)")
            }
            operate { engine, now in engine.reload(new, now: now) }
        } catch {
            node.log(Self.tag, "Not reloaded: \("\(error)")", level: .error)
            throw error
        }
    }

    /// Reloads whenever the file has changed. It is looked at once a second: the lab's disks tell nobody of changes,
    /// and the file is small.
    ///
    /// - Parameter read: the file's bytes; nil while it cannot be read, which changes nothing.
    public func watchFile(_ read: @escaping () -> [UInt8]?) {
        var last = read()
        func look() {
            node.after(.seconds(1)) { [self] in
                if let bytes = read(), bytes != last {
                    last = bytes
                    try? reload()
                }
                look()
            }
        }
        look()
    }
}
