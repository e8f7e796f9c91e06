using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using LrtMesh.Client;
using LrtMesh.Core;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Microsoft.IdentityModel.Tokens;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>Bearer tokens: which are taken, and for what.</summary>
public sealed class TokenTests(MeshFixture mesh) : AccessTests(mesh)
{
    [Fact]
    public async Task A_good_token_is_taken_and_what_is_wrong_with_another_is_said()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        using var stranger = new TestIssuer(Folder, "stranger-");
        using var impostor = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var right = Issuer.Token(Scope.MapRead);
        foreach (var algorithm in new[] { "RS256", "PS256" })
        {
            await ListAsync(role.Address, new() { Token = Issuer.Token(Scope.MapRead, signing: new(Issuer.Rsa, algorithm)) });
        }

        await ListAsync(role.Address, new() { Token = right });
        await ListAsync(role.Address, new() { Token = Issuer.Token(Scope.Admin) });
        await ListAsync(role.Address, new() { Token = Issuer.Token(Scope.MapRead, expires: TimeSpan.FromSeconds(-10)) }); // clocks differ a little

        var secret = new SymmetricSecurityKey(Encoding.ASCII.GetBytes(await File.ReadAllTextAsync(Issuer.Options.Jwks, Ct))) { KeyId = Issuer.Ec.KeyId };
        (string? Token, string Says)[] refused =
        [
            (null, "there is no token"),
            ("nonsense", "not a JSON Web Token"),
            (Issuer.Token(Scope.MapRead, expires: TimeSpan.FromMinutes(-2)), "it expired at"),
            (Issuer.Token(Scope.MapRead, notBefore: TimeSpan.FromMinutes(2)), "it is not valid before"),
            (Issuer.Token(Scope.MapRead, audience: "another"), "its audience (aud) is not 'lrtmesh'"),
            (Issuer.Token(Scope.MapRead, issuer: "another"), "its issuer (iss) is not"),
            (Issuer.Token(Scope.MapRead, signing: new(stranger.Ec, "ES256")), "its key (kid) is not one of the issuer's"),
            (Issuer.Token(Scope.MapRead, signing: new(new ECDsaSecurityKey(impostor) { KeyId = Issuer.Ec.KeyId }, "ES256")), "its signature is not right"),
            (right[..^8] + "AAAAAAAA", "its signature is not right"),
            (Issuer.Token(Scope.MapRead, signing: new(secret, "HS256")), "its algorithm (alg) is not one of"), // signed with what everyone knows
            (Unsigned(right), "its algorithm (alg) is not one of"),
            (Issuer.Token(Scope.MapRead, tenant: "a b"), "its claim \"tenant\" must be one name"),
        ];
        foreach (var (token, says) in refused)
        {
            var error = await RefusedAsync(role.Address, new() { Token = token });
            Assert.Equal(StatusCode.Unauthenticated, error.StatusCode);
            Assert.Contains(says, error.Status.Detail, StringComparison.Ordinal);
            Assert.Equal("UNAUTHENTICATED", error.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason);
        }
    }

    [Fact]
    public async Task Nothing_of_a_call_is_read_before_its_token()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        using var connection = new TcpClient();
        await connection.ConnectAsync(role.Address.Host, role.Address.Port, Ct);

        // HTTP/2 (RFC 9113) by hand, since clients end a request before they look at its answer: settings, a call's headers, and of its message of a mebibyte one byte.
        byte[] headers =
        [
            .. Header(":method", "POST"), .. Header(":scheme", "http"), .. Header(":authority", "x"), .. Header(":path", "/lrtmesh.v1.VectorService/PutVector"),
            .. Header("content-type", "application/grpc"), .. Header("te", "trailers"),
        ];
        await connection.GetStream().WriteAsync(
            (byte[])[.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(type: 4, stream: 0), .. Frame(type: 1, stream: 1, flags: 4, headers), .. Frame(type: 0, stream: 1, flags: 0, 0, 0, 16, 0, 0, 10)], Ct);
        var answer = "";
        for (var bytes = new byte[4096]; !answer.Contains("grpc-status\u000216", StringComparison.Ordinal);) // UNAUTHENTICATED
        {
            var read = await connection.GetStream().ReadAsync(bytes, Ct).AsTask().WaitAsync(TimeSpan.FromSeconds(20), Ct);
            Assert.True(read > 0, $"the connection was closed after {answer}");
            answer += Encoding.Latin1.GetString(bytes, 0, read);
        }

        static byte[] Header(string name, string value) => [0, (byte)name.Length, .. Encoding.ASCII.GetBytes(name), (byte)value.Length, .. Encoding.ASCII.GetBytes(value)];
        static byte[] Frame(byte type, byte stream, byte flags = 0, params byte[] payload) => [0, 0, (byte)payload.Length, type, flags, 0, 0, 0, stream, .. payload];
    }

    [Fact]
    public async Task A_scope_that_is_missing_is_named()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        var error = await RefusedAsync(role.Address, new() { Token = Issuer.Token($"{Scope.Extract} {Scope.MapWrite}") });
        Assert.Equal(StatusCode.PermissionDenied, error.StatusCode);
        Assert.EndsWith("takes a token with the scope map:read", error.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_needs_no_token_and_reflection_does()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        using var bare = MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority));
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await new Health.HealthClient(bare).CheckAsync(new(), cancellationToken: Ct)).Status);
        Assert.Equal(StatusCode.Unauthenticated, (await Assert.ThrowsAsync<RpcException>(() => ReflectAsync(bare))).StatusCode);

        using var known = MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority), new() { Token = Issuer.Token("") });
        Assert.True(await ReflectAsync(known));

        static async Task<bool> ReflectAsync(Grpc.Net.Client.GrpcChannel channel)
        {
            using var call = new ServerReflection.ServerReflectionClient(channel).ServerReflectionInfo(cancellationToken: Ct);
            await call.RequestStream.WriteAsync(new() { ListServices = "" }, Ct);
            return await call.ResponseStream.MoveNext(Ct);
        }
    }

    [Fact]
    public async Task Keys_are_read_again_when_they_change()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        var logs = new RecordedLogs().Of(role);
        using var next = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var token = Issuer.Token(Scope.MapRead, signing: new(new ECDsaSecurityKey(next) { KeyId = "next" }, "ES256"));
        await RefusedAsync(role.Address, new() { Token = token });

        Issuer.WriteKeys(TestIssuer.PublicOf(next, "next"));
        await logs.FindAsync("were read again");
        await ListAsync(role.Address, new() { Token = token });
        Assert.Contains("(kid)", (await RefusedAsync(role.Address, new() { Token = Issuer.Token(Scope.MapRead) })).Status.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"keys": []}""", "has no key to check signatures with")]
    [InlineData("""{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}""", "of type 'oct'")]
    [InlineData("""{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}""", "without an id")]
    [InlineData("not JSON", "is not a JSON Web Key Set")]
    public async Task A_set_of_keys_that_cannot_serve_is_named_at_start(string json, string says)
    {
        await File.WriteAllTextAsync(Issuer.Options.Jwks, json, Ct);
        var error = Assert.Throws<LrtMeshException>(() => MappingRole.Build(Options(new() { Tokens = Issuer.Options })));
        Assert.StartsWith(Issuer.Options.Jwks, error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_RPC_has_a_rule_and_every_one_that_changes_something_names_it()
    {
        FileDescriptor[] files = [ModelReflection.Descriptor, ExtractionReflection.Descriptor, MappingReflection.Descriptor, VectorReflection.Descriptor, GenerationReflection.Descriptor];
        foreach (var method in files.SelectMany(file => file.Services).SelectMany(service => service.Methods))
        {
            var rule = RpcRule.Of($"/{method.Service.FullName}/{method.Name}");
            Assert.True(rule is { Open: false, Method: not null }, $"{method.FullName} is in no row of RpcRule");
            Assert.True((rule.Scopes.Contains(Scope.MapWrite) || rule.Scopes.Contains(Scope.Admin)) == (rule.Changed is not null), method.FullName);
            if (method.GetOptions()?.IdempotencyLevel == MethodOptions.Types.IdempotencyLevel.NoSideEffects)
            {
                Assert.Null(rule.Changed);
            }
        }

        Assert.Null(RpcRule.Of("/lrtmesh.v1.VectorService/RenameVector"));
    }

    private static string Unsigned(string token) => $"{Base64UrlEncoder.Encode("""{"alg":"none","typ":"JWT"}""")}.{token.Split('.')[1]}.";
}
