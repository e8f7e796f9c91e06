using System.Security.Cryptography;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.Services.Tests.Access;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>Who calls may not, or does not own what it names.</summary>
public sealed class AccessFaultTests : FaultTests, IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-access-faults-").FullName;
    private readonly TestAuthority _authority;
    private readonly TestIssuer _issuer;
    private readonly CertificateFiles _server;
    private readonly RoleProcess _role;

    public AccessFaultTests(FaultTable table, FaultMesh mesh)
        : base(table, mesh)
    {
        (_authority, _issuer) = (new(_folder), new(_folder));
        _server = _authority.Issue("server");
        _role = Mesh.OneMoreMapping(Settings(_server));
    }

    private string Address => $"https://localhost:{_role.Port}";

    public async ValueTask InitializeAsync() => await _role.StartAsync();

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await _role.DisposeAsync();
        _authority.Dispose();
        _issuer.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public Task Expired_certificates() => Table.RunAsync(
        "expired certificate",
        "a client that shows one gets no call through; a role with one does not start, saying why; one that is put in the place of a good one is not taken",
        async () =>
        {
            var tries = FaultTable.Size(20, 500);
            var (good, expired) = (_authority.Issue("client", TestAuthority.ForClients), _authority.Issue("late", TestAuthority.ForClients, TimeSpan.FromDays(-1)));
            var (admitted, shown) = (new Endings(), new Endings());
            for (var i = 0; i < tries; i++)
            {
                await admitted.CountAsync(() => ListAsync(expired, _issuer.Token(Scope.Admin)));
                await shown.CountAsync(() => ListAsync(good, _issuer.Token(Scope.Admin)));
            }

            await using var second = Mesh.OneMoreMapping(Settings(_authority.Issue("expired", validFor: TimeSpan.FromDays(-1))));
            var exit = await second.EndsAsync();
            var says = second.Log.Contains("expired", StringComparison.Ordinal);

            _authority.Issue("server", validFor: TimeSpan.FromDays(-1)); // in the place of the role's own
            await Task.Delay(TimeSpan.FromSeconds(5), Ct); // it looks every two
            var after = new Endings();
            for (var i = 0; i < tries; i++)
            {
                await after.CountAsync(() => ListAsync(good, _issuer.Token(Scope.Admin)));
            }

            _authority.Issue("server");
            return new(
                tries + 2,
                $"calls with an expired certificate: {admitted}; with a good one: {shown}; a role with one: exit {exit}, {(says ? "saying so" : "not saying why")}; with one put in its place: {after}",
                admitted[StatusCode.OK],
                admitted[StatusCode.OK] == 0 && shown[StatusCode.OK] == tries && exit == 1 && says && after[StatusCode.OK] == tries);
        });

    [Fact]
    public Task Wrong_tokens() => Table.RunAsync(
        "wrong token",
        "UNAUTHENTICATED; PERMISSION_DENIED where only the scope lacks; none gets through",
        async () =>
        {
            var rounds = FaultTable.Size(20, 500);
            var certificate = _authority.Issue("client", TestAuthority.ForClients);
            using var stranger = new TestIssuer(_folder, "stranger-");
            using var impostor = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var (unknown, unscoped, good) = (new Endings(), new Endings(), new Endings());
            for (var i = 0; i < rounds; i++)
            {
                string?[] wrong =
                [
                    null,
                    "nonsense",
                    _issuer.Token(Scope.Admin, expires: TimeSpan.FromMinutes(-2)),
                    _issuer.Token(Scope.Admin, notBefore: TimeSpan.FromMinutes(2)),
                    _issuer.Token(Scope.Admin, audience: "another"),
                    _issuer.Token(Scope.Admin, issuer: "another"),
                    _issuer.Token(Scope.Admin, signing: new(stranger.Ec, "ES256")),
                    _issuer.Token(Scope.Admin, signing: new(new Microsoft.IdentityModel.Tokens.ECDsaSecurityKey(impostor) { KeyId = _issuer.Ec.KeyId }, "ES256")),
                ];
                foreach (var token in wrong)
                {
                    await unknown.CountAsync(() => ListAsync(certificate, token));
                }

                await unscoped.CountAsync(() => ListAsync(certificate, _issuer.Token(Scope.Generate)));
                await good.CountAsync(() => ListAsync(certificate, _issuer.Token(Scope.MapRead)));
            }

            var through = unknown[StatusCode.OK] + unscoped[StatusCode.OK];
            return new(
                unknown.Total + unscoped.Total,
                $"{rounds} each of no token, nonsense, expired, not yet valid, another audience, issuer, key, signature: {unknown}; without the scope: {unscoped}; right ones: {good}",
                through,
                through == 0 && unknown[StatusCode.Unauthenticated] == unknown.Total && unscoped[StatusCode.PermissionDenied] == rounds && good[StatusCode.OK] == rounds);
        });

    [Fact]
    public Task Another_tenants_names() => Table.RunAsync(
        "another tenant's names",
        "NOT_FOUND, in no list, and unchanged by whatever the other does with the same name",
        async () =>
        {
            var names = FaultTable.Size(20, 500);
            var certificate = _authority.Issue("client", TestAuthority.ForClients);
            using var a = Open(certificate, _issuer.Token(Scope.Admin, "a", expires: TimeSpan.FromHours(2)));
            using var b = Open(certificate, _issuer.Token(Scope.Admin, "b", expires: TimeSpan.FromHours(2)));
            var (mine, theirs) = (new VectorService.VectorServiceClient(a), new VectorService.VectorServiceClient(b));
            var maps = new MappingService.MappingServiceClient(b);
            var (reached, leaked, kept) = (new Endings(), 0, 0);
            for (var i = 0; i < names; i++)
            {
                var name = $"tenants/{i}";
                await mine.PutVectorAsync(Put(name, i), cancellationToken: Ct);
                await reached.CountAsync(async () => await theirs.GetVectorAsync(new() { Name = name }, cancellationToken: Ct));
                await reached.CountAsync(async () => await theirs.DeleteVectorAsync(new() { Name = name }, cancellationToken: Ct));
                await reached.CountAsync(async () => await maps.TransferVectorAsync(new() { Vector = name, Map = "m", Name = "taken" }, cancellationToken: Ct));
                leaked += (await theirs.ListVectorsAsync(new() { Prefix = name }, cancellationToken: Ct)).Vectors.Count;
                await theirs.PutVectorAsync(Put(name, -1), cancellationToken: Ct);
                await theirs.DeleteVectorAsync(new() { Name = name }, cancellationToken: Ct);
                kept += (await mine.GetVectorAsync(new() { Name = name }, cancellationToken: Ct)).Elements.Equals(Put(name, i).Elements) ? 1 : 0;
                await mine.DeleteVectorAsync(new() { Name = name }, cancellationToken: Ct);
            }

            var lost = reached[StatusCode.OK] + leaked + names - kept;
            return new(reached.Total, $"calls that name another's: {reached}; {leaked} listed; {kept} of {names} unchanged after the other put and deleted its own of the same name", lost, lost == 0 && reached[StatusCode.NotFound] == reached.Total);

            static PutVectorRequest Put(string name, int value) => new()
            {
                Vector = new() { Name = name, Model = "target", Provenance = new() { Method = VectorMethod.Given } }, Elements = TensorCodec.Encode([value, 1], 2),
            };
        });

    private string[] Settings(CertificateFiles server) =>
    [
        "--tls-cert", server.Certificate, "--tls-key", server.Key, "--tls-client-ca", _authority.File,
        "--auth-issuer", _issuer.Options.Issuer, "--auth-audience", _issuer.Options.Audience, "--auth-jwks", _issuer.Options.Jwks,
    ];

    private Grpc.Net.Client.GrpcChannel Open(CertificateFiles certificate, string? token) =>
        MeshChannel.Open(Address, new() { Ca = _authority.File, Certificate = certificate.Certificate, Key = certificate.Key, Token = token });

    private async Task ListAsync(CertificateFiles certificate, string? token)
    {
        using var channel = Open(certificate, token);
        await new VectorService.VectorServiceClient(channel).ListVectorsAsync(new() { PageSize = 1 }, deadline: DateTime.UtcNow.AddSeconds(20), cancellationToken: Ct);
    }
}
