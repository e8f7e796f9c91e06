namespace LrtMesh.Core.Store;

/// <summary>What one tenant has in the store. Nothing of another's can be named here: it is not there.</summary>
public class TenantStore
{
    private protected TenantStore(RedisLink link, TenantKeys keys, TimeSpan keepVersions, RecordCaches caches)
    {
        Tenant = keys.Tenant;
        Vectors = new VectorStore(link, keys, keepVersions, caches.Vectors);
        Maps = new MapStore(link, keys, keepVersions, caches.Maps);
        Bases = new BasisStore(link, keys, keepVersions, caches.Bases);
        Jobs = new JobStore(link, keys);
    }

    /// <summary>Whose it is; empty for the default tenant.</summary>
    public string Tenant { get; }

    /// <summary>Steering vectors.</summary>
    public VectorStore Vectors { get; }

    /// <summary>Affine maps.</summary>
    public MapStore Maps { get; }

    /// <summary>Bases that models share.</summary>
    public BasisStore Bases { get; }

    /// <summary>Jobs.</summary>
    public JobStore Jobs { get; }

    /// <summary>The same of another tenant.</summary>
    internal static TenantStore Of(RedisLink link, TenantKeys keys, TimeSpan keepVersions, RecordCaches caches) => new(link, keys, keepVersions, caches);
}
