import ShellSession

/// What is typed to run a registry, to look into it, and to ask DNS.
package enum RegistryCommands {
    package static var all: [Command] { [registry, services, sightings, dig] }
}
