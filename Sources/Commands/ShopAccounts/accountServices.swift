import CommandKit
import CommandServices
import KernelStructures
import ShellSession
import ShopAccountsService
import ShopKitCommands
import ShopKitService

extension ShopAccountsCommands {
    /// `shop-users`
    static var shopUsers: Command {
        let kind = ServiceKind("shop-users", node: "users", port: .preset(8081))
        let description = CommandDescription(
            kind.name, "a shop's people: registration, login, profiles, and tokens that everybody can verify",
            usage: "[--db URL] [--cache HOST:PORT] [FLAGS]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                ShopFlags.common + [
                    .init("cache", nil, .endpoint, "where sessions are kept, by Redis's protocol (none)"),
                    .init("token-life", nil, .duration(), "how long a token is good (15m)"),
                ]),
            examples: [
                kind.name, "curl -X POST http://users:8081/register -d '{\"email\": \"user@example.com\"}'",
            ],
            group: .components, role: .service, tags: ["USERS"],
            details: """
                POST /register {"email", "password"?, "name"?, "phone"?}, /login, /refresh,
                /logout, /introspect; GET, PATCH /profile; GET /.well-known/jwks.json;
                POST /keys/rotate. A token is good for 15 minutes and signed with Ed25519; for a
                refresh token, which is good once, there is a new one of each. Where there is
                no cache there are no sessions, and so no refresh tokens.
                """)
        return .service(kind, description) { invocation in
            var settings = try ShopFlags.settings("users", port: 8081, invocation.arguments)
            settings.cache = invocation.arguments.endpoint("cache")
            var options = UserOptions()
            if let life = invocation.arguments.duration("token-life") { options.tokenLife = life }
            return ServicePlan(settings) { [options] node, settings, service in
                UserService(node: node, settings: settings, options: options, service: service)
            }
        }
    }

    /// `shop-notifications`
    static var shopNotifications: Command {
        let kind = ServiceKind("shop-notifications", node: "notifications", port: .preset(8086))
        let description = CommandDescription(
            kind.name, "tells a shop's people what happens to their orders, by mail and text message",
            usage: "[--db URL] [--mq URL] [--mailbox HOST:PORT] [FLAGS]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                ShopFlags.common + ShopFlags.broker + [
                    .init("mailbox", nil, .endpoint, "the post, by SMTP (mailbox:1025)"),
                    .init("users", nil, .endpoint, "where telephone numbers are, if no registry says (users:8081)"),
                ]),
            examples: [kind.name, "curl 'http://notifications:8086/notifications?order=o1'"],
            group: .components, role: .service, tags: ["NOTIFICATIONS"],
            details: """
                GET /notifications?order=&user=&state=pending|sent|dead|skipped,
                /notifications/ID with each attempt; POST /notifications/ID/retry; GET
                /templates, PUT /templates/email/order.created {"subject", "body"}. An event
                that comes twice is answered once. What the post does not take is tried ten
                times with growing pauses; what is no event goes to notifications.dead.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = try ShopFlags.settings(
                "notifications", port: 8086, peers: ["mailbox", "users"], arguments)
            settings.broker = try ShopFlags.broker(invocation)
            return ServicePlan(settings) { node, settings, service in
                NotificationService(node: node, settings: settings, service: service)
            }
        }
    }
}
