import KernelStructures

/// Whom a flag is evaluated for, and in what circumstances: Unleash's context, which OpenFeature calls the evaluation
/// context.
public struct FlagContext: Equatable, Sendable {
    public var userID: String?
    public var sessionID: String?
    /// `192.0.2.1`; what is no address is in no network.
    public var remoteAddress: String?
    public var environment: String?
    public var appName: String?
    /// What time it is taken to be; nil for now.
    public var currentTime: LabTime?
    /// Everything else that rules may ask about.
    public var properties: [String: String]

    public init(
        userID: String? = nil, sessionID: String? = nil, remoteAddress: String? = nil, environment: String? = nil,
        appName: String? = nil, currentTime: LabTime? = nil, properties: [String: String] = [:]
    ) {
        self.userID = userID
        self.sessionID = sessionID
        self.remoteAddress = remoteAddress
        self.environment = environment
        self.appName = appName
        self.currentTime = currentTime
        self.properties = properties
    }

    /// `FlagContext("123", ["country": "US"])`
    public init(_ userID: String, _ properties: [String: String] = [:]) {
        self.init(userID: userID, properties: properties)
    }
}

/// A field of the context, by which constraints name it.
public enum ContextField: Hashable, Sendable {
    case userID, sessionID, remoteAddress, environment, appName, currentTime
    case property(String)

    /// - Parameter name: Unleash's, such as `userId`; any other is a property.
    public init(_ name: String) {
        self =
            switch name {
            case "userId": .userID
            case "sessionId": .sessionID
            case "remoteAddress": .remoteAddress
            case "environment": .environment
            case "appName": .appName
            case "currentTime": .currentTime
            default: .property(name)
            }
    }

    public var name: String {
        switch self {
        case .userID: "userId"
        case .sessionID: "sessionId"
        case .remoteAddress: "remoteAddress"
        case .environment: "environment"
        case .appName: "appName"
        case .currentTime: "currentTime"
        case .property(let name): name
        }
    }

    /// Its value as text; nil where the context does not say.
    @inlinable
    public func value(in context: FlagContext) -> String? {
        switch self {
        case .userID: context.userID
        case .sessionID: context.sessionID
        case .remoteAddress: context.remoteAddress
        case .environment: context.environment
        case .appName: context.appName
        case .currentTime: context.currentTime?.description
        case .property(let name): context.properties[name]
        }
    }
}
