using LrtMesh.TestKit.Stores;

namespace LrtMesh.Services.Tests.Store;

// Each suite on each store.

public sealed class GarnetRecordTests(StoreFixture<EmbeddedStoreProcess> fixture) : RecordSuite<EmbeddedStoreProcess>(fixture);

public sealed class GarnetJobTests(StoreFixture<EmbeddedStoreProcess> fixture) : JobSuite<EmbeddedStoreProcess>(fixture);

public sealed class GarnetOutageTests(StoreFixture<EmbeddedStoreProcess> fixture) : OutageSuite<EmbeddedStoreProcess>(fixture);

public sealed class RedisRecordTests(StoreFixture<RedisServerProcess> fixture) : RecordSuite<RedisServerProcess>(fixture);

public sealed class RedisJobTests(StoreFixture<RedisServerProcess> fixture) : JobSuite<RedisServerProcess>(fixture);

public sealed class RedisOutageTests(StoreFixture<RedisServerProcess> fixture) : OutageSuite<RedisServerProcess>(fixture);

public sealed class GarnetTenantTests(StoreFixture<EmbeddedStoreProcess> fixture) : TenantSuite<EmbeddedStoreProcess>(fixture);

public sealed class RedisTenantTests(StoreFixture<RedisServerProcess> fixture) : TenantSuite<RedisServerProcess>(fixture);

public sealed class GarnetVersionTests(StoreFixture<EmbeddedStoreProcess> fixture) : VersionSuite<EmbeddedStoreProcess>(fixture);

public sealed class RedisVersionTests(StoreFixture<RedisServerProcess> fixture) : VersionSuite<RedisServerProcess>(fixture);
