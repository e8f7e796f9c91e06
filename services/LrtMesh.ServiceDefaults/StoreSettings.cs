using System.Globalization;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults.Access;

namespace LrtMesh.ServiceDefaults;

/// <summary>A role's settings of its store.</summary>
public static class StoreSettings
{
    /// <summary>Reads <c>redis</c>, <c>redis-password-file</c>, <c>redis-ca</c>, <c>redis-cert</c>, <c>redis-key</c>, <c>redis-wait-replicas</c> and <c>redis-keep-versions</c>.</summary>
    /// <param name="settings">The settings; what is wrong is noted there.</param>
    public static StoreOptions Store(this RoleSettings settings)
    {
        var replicas = settings.Optional("redis-wait-replicas") ?? "0";
        if (!byte.TryParse(replicas, NumberStyles.None, CultureInfo.InvariantCulture, out var wait))
        {
            settings.Wrong("redis-wait-replicas", $"must be 0 to {byte.MaxValue}, not '{replicas}'");
        }

        var certificate = AccessOptions.Pair(settings, "redis-cert", "redis-key");
        return new StoreOptions(settings.Required("redis", "the store as HOST:PORT"))
        {
            PasswordFile = settings.Optional("redis-password-file"),
            CaFile = settings.Optional("redis-ca"),
            CertificateFile = certificate?.Certificate,
            KeyFile = certificate?.Key,
            WaitReplicas = wait,
            KeepVersions = settings.Seconds("redis-keep-versions", TimeSpan.FromDays(1)),
        };
    }
}
