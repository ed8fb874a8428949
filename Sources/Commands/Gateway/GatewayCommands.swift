import ShellSession

/// What is typed to start API gateways and to look into them.
package enum GatewayCommands {
    package static var all: [Command] { [apiGateway, gateway] }
}
