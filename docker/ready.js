// Health check of a mongod. A member is healthy once it belongs to the replica set and locapi's
// user has exactly the rights below. Until then this takes the next step to get there: the first of
// MEMBERS initiates the set, and the primary creates the users. Each step can be repeated, so a
// check may be interrupted, and a changed password or right is set by the next one.

const rights = {
  fixes: ["find", "insert", "remove"], // no "update": a fix stays as it was sent
  minutes: ["find", "insert", "update", "remove"],
  watermarks: ["find", "insert", "update"],
  erasures: ["find", "insert", "update", "remove"],
  rejects: ["find", "insert", "remove"],
  tombstones: ["find", "insert", "update", "remove"],
  quarantine: ["find", "insert", "update", "remove"],
  tokens: ["find", "insert", "update", "remove"],
};

const privileges = Object.entries(rights).map(([collection, actions]) => ({
  resource: { db: "locapi", collection },
  actions: [...actions, "createCollection", "createIndex", "listIndexes", "collMod", "collStats"],
}));
// For `locctl init --check` and `locctl status`: names, options and sizes, but no documents.
privileges.push({ resource: { db: "locapi", collection: "" }, actions: ["listCollections", "dbStats"] });

const members = (process.env.MEMBERS || "mongo").split(" ");
const admin = db.getSiblingDB("admin");
const locapi = db.getSiblingDB("locapi");

function secret(name) {
  return fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();
}

function logIn(database, user) {
  try {
    return database.auth(user, secret(`mongodb_${user}_password`)).ok === 1;
  } catch (error) {
    if (error.codeName === "AuthenticationFailed") return false;
    throw error;
  }
}

function sorted(list) {
  return JSON.stringify(
    list.map(({ resource, actions }) => [resource.db, resource.collection, ...[...actions].sort()]).sort(),
  );
}

function userIsReady() {
  if (!logIn(locapi, "locapi")) return false;
  const status = locapi.runCommand({ connectionStatus: 1, showPrivileges: true });
  return sorted(status.authInfo.authenticatedUserPrivileges) === sorted(privileges);
}

function logInAsRoot() {
  if (logIn(admin, "root")) return;
  try {
    // Without a password, mongod lets a local client create the first user and nothing else.
    admin.createUser({ user: "root", pwd: secret("mongodb_root_password"), roles: ["root"] });
  } catch {
    throw new Error("the database's root user has another password than /run/secrets/mongodb_root_password");
  }
  logIn(admin, "root");
}

function setUpUser() {
  if (locapi.getRole("locapi")) locapi.updateRole("locapi", { privileges, roles: [] });
  else locapi.createRole({ role: "locapi", privileges, roles: [] });
  const user = { pwd: secret("mongodb_locapi_password"), roles: ["locapi"] };
  if (locapi.getUser("locapi")) locapi.updateUser("locapi", user);
  else locapi.createUser({ user: "locapi", ...user });
}

function initiateSet() {
  rs.initiate({
    _id: "rs0",
    members: members.map((name, _id) => ({ _id, host: `${name}:27017` })),
    settings: { electionTimeoutMillis: 5000 }, // half of the default: phones wait for elections
  });
  for (let tries = 0; tries < 100 && !db.hello().isWritablePrimary; tries++) sleep(100);
}

if (!db.hello().setName && os.hostname() === members[0]) initiateSet();
const { isWritablePrimary, secondary } = db.hello();
if (!isWritablePrimary && !secondary) quit(1);
if (!userIsReady()) {
  if (secondary) quit(1);
  logInAsRoot();
  setUpUser();
}
