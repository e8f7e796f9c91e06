namespace LrtMesh.Core.Store;

/// <summary>Where the store is, and how it is reached.</summary>
/// <param name="Redis">HOST:PORT, or a configuration of StackExchange.Redis, such as <c>HOST:PORT,ssl=true,user=NAME</c>; with Sentinel <c>SENTINEL:PORT,serviceName=NAME</c>.</param>
public sealed record StoreOptions(string Redis)
{
    /// <summary>File that holds the password, so that it is in no command line and no environment; null: it is in <see cref="Redis"/>, or there is none.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>PEM of the authority that the server's certificate is from; null: those that the system trusts.</summary>
    public string? CaFile { get; init; }

    /// <summary>PEM of the certificate that is shown to the server; null: none is.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM of its key.</summary>
    public string? KeyFile { get; init; }

    /// <summary>Replicas that must have a write before it is acknowledged; default is 0: the primary's word is enough.</summary>
    public int WaitReplicas { get; init; }

    /// <summary>How long a version of a record stays readable once another has replaced it; default is a day, 0 keeps none.</summary>
    public TimeSpan KeepVersions { get; init; } = TimeSpan.FromDays(1);

    /// <summary>A store that <see cref="Redis"/> says all of.</summary>
    public static implicit operator StoreOptions(string redis) => new(redis);

    /// <summary>Where it is, without what it says of passwords.</summary>
    public override string ToString() => $"{nameof(StoreOptions)} ({Redis.Split(',')[0]})";
}
