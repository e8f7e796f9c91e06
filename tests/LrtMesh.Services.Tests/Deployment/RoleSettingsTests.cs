using LrtMesh.Core;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;
using Xunit;

namespace LrtMesh.Services.Tests.Deployment;

public sealed class RoleSettingsTests
{
    private static readonly Dictionary<string, string> Enough = new() { ["LRTMESH_REDIS"] = "redis:6379", ["LRTMESH_MODELS"] = "a=/models/a" };

    [Fact]
    public void A_variable_has_underscores_where_an_option_has_hyphens_and_the_command_line_wins()
    {
        var environment = new Dictionary<string, string>(Enough) { ["LRTMESH_KV_CACHE_BYTES"] = "1000", ["LRTMESH_PREFIX_CACHE_BYTES"] = "2000", ["PATH"] = "/bin" };
        var options = ModelRoleOptions.From(new RoleSettings(["--prefix-cache-bytes", "3000"], environment));
        Assert.Equal((1000, 3000), (options.Serving.KvCacheBytes, options.Serving.PrefixCacheBytes));
    }

    [Theory]
    [InlineData("LRTMESH_KV_CACHE_BYTE", null, "--kv-cache-byte")]
    [InlineData("LRTMESH_ENDPOINTS", null, "--endpoints")] // of another role
    [InlineData(null, "--kv-cache-byte", "--kv-cache-byte")]
    public void A_setting_that_the_role_does_not_have_is_refused_by_name(string? variable, string? argument, string field)
    {
        var environment = new Dictionary<string, string>(Enough);
        if (variable is not null)
        {
            environment[variable] = "1000";
        }

        var refused = Assert.Throws<LrtMeshException>(() => ModelRoleOptions.From(new RoleSettings(argument is null ? [] : [argument, "1000"], environment)));
        var violation = Assert.Single(refused.Violations);
        Assert.Equal(field, violation.Field);
        Assert.Contains("kv-cache-bytes", violation.Description, StringComparison.Ordinal);
    }
}
