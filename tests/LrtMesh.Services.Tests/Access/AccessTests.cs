using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.Services.Tests.Mesh;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>A mapping role of each test's own, over the store of the mesh, and a folder for its certificates and keys.</summary>
public abstract class AccessTests : MeshTests, IDisposable
{
    protected AccessTests(MeshFixture mesh)
        : base(mesh)
    {
        Authority = new(Folder);
        Issuer = new(Folder);
    }

    protected string Folder { get; } = Directory.CreateTempSubdirectory("lrtmesh-access-").FullName;

    private protected TestAuthority Authority { get; }

    private protected TestIssuer Issuer { get; }

    public void Dispose()
    {
        Authority.Dispose();
        Issuer.Dispose();
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>A mapping role, not started.</summary>
    protected MappingOptions Options(AccessOptions access) => new() { Redis = Mesh.Mesh.Store.Split(' ')[1], Endpoints = () => [], Access = access };

    protected static async Task<RoleHost> StartAsync(MappingOptions options)
    {
        var role = MappingRole.Build(options);
        await role.StartAsync(Ct);
        return role;
    }

    /// <summary>Lists vectors over a channel of its own.</summary>
    protected static async Task ListAsync(Uri address, MeshAccess? access)
    {
        using var channel = MeshChannel.Open(address.GetLeftPart(UriPartial.Authority), access);
        await new VectorService.VectorServiceClient(channel).ListVectorsAsync(new(), deadline: DateTime.UtcNow.AddSeconds(20), cancellationToken: Ct);
    }

    protected static async Task<RpcException> RefusedAsync(Uri address, MeshAccess? access) => await Assert.ThrowsAsync<RpcException>(() => ListAsync(address, access));
}
