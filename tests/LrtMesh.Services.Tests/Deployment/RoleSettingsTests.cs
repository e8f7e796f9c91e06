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

    [Theory]
    [InlineData("--insecure", "must have a value", "--dtype", "float32", "--insecure")] // .NET's reader passes over the last of these
    [InlineData("--insecure", "must have a value", "--insecure", "--dtype", "float32")]
    [InlineData("stray", "is no setting", "--dtype", "float32", "stray")]
    [InlineData("-p=1", "is no setting", "-p=1")]
    [InlineData("--dtype", "is given twice", "--dtype", "float32", "--dtype=int8")]
    [InlineData("--drain-seconds", "must be a number of seconds", "--drain-seconds", "NaN")]
    public void An_argument_that_is_not_understood_is_refused_and_not_passed_over(string field, string says, params string[] arguments)
    {
        var refused = Assert.Throws<LrtMeshException>(() => ModelRoleOptions.From(new RoleSettings(arguments, Enough)));
        var violation = Assert.Single(refused.Violations);
        Assert.Equal(field, violation.Field);
        Assert.Contains(says, violation.Description, StringComparison.Ordinal);
    }

    [Fact]
    public void A_value_follows_its_name_or_a_sign_between()
    {
        var options = ModelRoleOptions.From(new RoleSettings(["--max-batch=7", "--max-streams", "9"], Enough));
        Assert.Equal((7, 9), (options.MaxBatch, options.Limits.Streams));
    }
}
