using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Extraction;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>TLS of a role's port, and between roles.</summary>
public sealed class TlsTests(MeshFixture mesh) : AccessTests(mesh)
{
    [Fact]
    public async Task A_client_that_trusts_the_authority_is_served_and_no_other()
    {
        await using var role = await StartAsync(Options(new() { Tls = Authority.Issue("server") }));
        Assert.Equal("https", role.Address.Scheme);
        await ListAsync(role.Address, new() { Ca = Authority.File });

        using var other = new TestAuthority(Folder, "other");
        Assert.Contains("SSL", (await RefusedAsync(role.Address, new() { Ca = other.File })).Status.Detail, StringComparison.Ordinal);
        Assert.NotEqual(StatusCode.OK, (await RefusedAsync(new($"http://{role.Address.Authority}"), null)).StatusCode);
    }

    [Fact]
    public async Task Mutual_TLS_takes_a_client_s_certificate_of_the_authority_alone()
    {
        await using var role = await StartAsync(Options(new() { Tls = Authority.Issue("server"), ClientCa = Authority.File }));
        using var other = new TestAuthority(Folder, "other");
        await ListAsync(role.Address, With(Authority.Issue("client", TestAuthority.ForClients)));
        await RefusedAsync(role.Address, new() { Ca = Authority.File });
        await RefusedAsync(role.Address, With(other.Issue("stranger", TestAuthority.ForClients)));
        await RefusedAsync(role.Address, With(Authority.Issue("not-a-client", TestAuthority.ForServers)));
        await RefusedAsync(role.Address, With(Authority.Issue("expired", TestAuthority.ForClients, TimeSpan.FromDays(-1))));

        Client.MeshAccess With(CertificateFiles own) => new() { Ca = Authority.File, Certificate = own.Certificate, Key = own.Key };
    }

    [Fact]
    public async Task New_files_are_taken_while_it_runs_and_bad_ones_are_told_and_not_taken()
    {
        var files = Authority.Issue("server", validFor: TimeSpan.FromSeconds(5));
        await using var role = MappingRole.Build(Options(new() { Tls = files }));
        var logs = new RecordedLogs().Of(role);
        await role.StartAsync(Ct);
        await logs.FindAsync("expires at");
        var first = await ServedAsync(role.Address);

        File.WriteAllText(files.Key, "not a key");
        await logs.FindAsync("WHAT HELD BEFORE HOLDS ON");
        Assert.Equal(first, await ServedAsync(role.Address));

        await logs.FindAsync("HAS EXPIRED");
        Authority.Issue("server");
        await logs.FindAsync("were read again");
        Assert.NotEqual(first, await ServedAsync(role.Address));
    }

    [Fact]
    public void A_certificate_that_has_expired_or_is_not_there_is_named_at_start()
    {
        var expired = Authority.Issue("expired", validFor: TimeSpan.FromDays(-1));
        var says = Fail(expired);
        Assert.Contains(expired.Certificate, says, StringComparison.Ordinal);
        Assert.Contains("CN=expired is valid from", says, StringComparison.Ordinal);
        Assert.Contains("missing.crt", Fail(expired with { Certificate = Path.Combine(Folder, "missing.crt") }), StringComparison.Ordinal);
        Assert.Contains(expired.Certificate, Fail(expired with { Key = Authority.Issue("another").Key }), StringComparison.Ordinal);

        string Fail(CertificateFiles files) => Assert.Throws<LrtMeshException>(() => MappingRole.Build(Options(new() { Tls = files }))).Message;
    }

    [Fact]
    public void Another_machine_reaches_a_role_over_TLS_with_tokens_or_where_it_was_said()
    {
        var bare = Options(new()) with { Address = IPAddress.Any };
        Assert.Contains("--insecure", Assert.Throws<LrtMeshException>(() => MappingRole.Build(bare)).Message, StringComparison.Ordinal);
        var tls = bare with { Access = new() { Tls = Authority.Issue("server") } };
        Assert.Contains("no check of tokens", Assert.Throws<LrtMeshException>(() => MappingRole.Build(tls)).Message, StringComparison.Ordinal);
        Assert.Null((tls.Access with { Tokens = Issuer.Options }).Exposure(IPAddress.Any));
        Assert.Null(new AccessOptions { Insecure = true }.Exposure(IPAddress.Any));

        string[] settings = ["--address", "0.0.0.0", "--redis", "redis:6379", "--tls-cert", "a", "--auth-issuer", "b"];
        var wrong = Assert.Throws<LrtMeshException>(() => MappingOptions.From(new(settings, new Dictionary<string, string>())));
        Assert.Equal(["--tls-key", "--auth-audience", "--auth-jwks", "--address"], wrong.Violations.Select(violation => violation.Field));
    }

    [Fact]
    public async Task What_is_insecure_is_told_loudly()
    {
        await using var role = MappingRole.Build(Options(new() { Insecure = true }) with { Address = IPAddress.Any });
        var logs = new RecordedLogs().Of(role);
        await role.StartAsync(Ct);
        Assert.Contains("neither TLS nor a check of tokens", await logs.FindAsync("INSECURE"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Roles_call_each_other_with_certificates_and_a_token()
    {
        var client = Authority.Issue("mapping", TestAuthority.ForClients);
        var token = Path.Combine(Folder, "token");
        await File.WriteAllTextAsync(token, Issuer.Token(Scope.MapRead, audience: "somebody else") + "\n", Ct);
        await using var extraction = ExtractionRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1],
            Models = [new("source", Path.Combine(Mesh.Folder, "source"))],
            Access = new() { Tls = Authority.Issue("extraction"), ClientCa = Authority.File, Tokens = Issuer.Options },
        });
        await extraction.StartAsync(Ct);
        CountTensors();
        await using var mapping = await StartAsync(Options(new()) with
        {
            Endpoints = () => [new($"dns:///localhost:{extraction.Address.Port}")], // as in a cluster
            Peers = new() { Ca = Authority.File, Certificate = client, TokenFile = token },
        });
        using var channel = LrtMesh.Client.MeshChannel.Open(mapping.Address.GetLeftPart(UriPartial.Authority));
        var maps = new MappingService.MappingServiceClient(channel);
        var request = new CreateMapJobRequest
        {
            Map = "over-tls",
            Source = new() { Model = "source", Layer = 0 },
            Target = new() { Model = "source", Layer = 1 },
            Documents = { TinyCheckpoint.Texts(60).Select(text => new Document { Text = text }) },
        };
        Assert.Contains("its audience (aud)", (await Assert.ThrowsAsync<RpcException>(async () => await maps.CreateMapJobAsync(request, cancellationToken: Ct))).Status.Detail, StringComparison.Ordinal);

        var logs = new RecordedLogs().Of(mapping);
        await File.WriteAllTextAsync(token, Issuer.Token(Scope.Extract), Ct);
        await logs.FindAsync("were read again");
        // A token that is replaced in two steps is gone in between: the one before holds on.
        await File.WriteAllTextAsync(token, "\n", Ct);
        await logs.FindAsync("there is no token in it");
        var job = await maps.RunJobAsync(request, Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
    }

    [Theory]
    [InlineData("http://10.0.0.1:5000", null, false)]
    [InlineData("dns:///models:5000", null, false)]
    [InlineData("dns:///models:5000", "ca.pem", true)]
    [InlineData("https://10.0.0.1:5000", null, true)]
    public void A_role_sends_its_token_over_TLS_alone(string endpoint, string? ca, bool taken)
    {
        string[] settings = ["--redis", "redis:6379", "--endpoints", endpoint, "--peer-token-file", "token", .. ca is null ? Array.Empty<string>() : ["--peer-ca", ca]];
        var read = Record.Exception(() => MappingOptions.From(new(settings, new Dictionary<string, string>())));
        Assert.Equal(taken ? null : "--peer-token-file", (read as LrtMeshException)?.Violations.Single().Field);
    }

    [Fact]
    public void A_client_sends_its_token_to_another_machine_over_TLS_alone()
    {
        Assert.Contains("without TLS", Assert.Throws<ArgumentException>(() => LrtMesh.Client.MeshChannel.Open("http://mesh.example:5000", new() { Token = "secret" })).Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", new Client.MeshAccess { Token = "secret" }.ToString(), StringComparison.Ordinal);
    }

    /// <summary>The certificate that a new connection is shown.</summary>
    private async Task<string> ServedAsync(Uri address)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(address.Host, address.Port, Ct);
        await using var tls = new SslStream(client.GetStream());
        var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        trust.CustomTrustStore.ImportFromPemFile(Authority.File);
        await tls.AuthenticateAsClientAsync(new() { TargetHost = "localhost", ApplicationProtocols = [SslApplicationProtocol.Http2], CertificateChainPolicy = trust }, Ct);
        return ((X509Certificate2)tls.RemoteCertificate!).Thumbprint;
    }
}
