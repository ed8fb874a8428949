import KernelStructures

extension HTTPHead {
    /// The target's path, as it came: without its query, and without what an absolute form has before it. `*` and a
    /// CONNECT's authority stay what they are.
    public var targetPath: ArraySlice<UInt8> {
        let target = targetBytes.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard let first = target.first, first != UInt8(ascii: "/"), method != .connect, target.count > 1 else {
            return target
        }
        let path = target[authorityOfTarget.endIndex...]
        return path.isEmpty ? Self.root : path
    }

    private static let root = Array("/".utf8)[...]
}

/// What becomes of a request's method when its answer leads elsewhere: RFC 9110 §15.4.
public enum HTTPRedirect {
    /// The method to ask with at the new place; nil if that status is no redirect to be followed by itself.
    ///
    /// A 303 is asked with GET (HEAD stays HEAD). After 301 and 302 a POST becomes a GET, as clients have always done;
    /// other methods stay. 307 and 308 change nothing. Where the method changes to GET, the body goes.
    public static func method(after status: Int, of method: String) -> String? {
        switch status {
        case 301, 302: method == "POST" ? "GET" : method
        case 303: method == "HEAD" ? "HEAD" : "GET"
        case 307, 308: method
        default: nil
        }
    }
}
