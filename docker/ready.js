// The health check of mongo: healthy is a member of the set where locapi's user may do what stands
// here, and nothing else. The first of MEMBERS makes the set, its primary the users. What lacks is made, step by step, so it may be cut off and repeated: on a
// new volume, on one of before there were users, and when a password or the rights change.
const rights = {
  fixes: ["find", "insert", "remove"], // never "update": a fix stays as it was sent
  minutes: ["find", "insert", "update", "remove"],
  watermarks: ["find", "insert", "update"],
  erasures: ["find", "insert", "update", "remove"],
  tokens: ["find", "insert", "update", "remove"],
};

const privileges = Object.entries(rights).map(([collection, actions]) => ({
  resource: { db: "locapi", collection },
  actions: [...actions, "createCollection", "createIndex", "listIndexes", "collMod"],
}));
// By which `locctl init` compares what is there, and `locctl status` tells how much disk is left;
// they tell names, forms and sizes, not what is stored.
privileges.push({ resource: { db: "locapi", collection: "" }, actions: ["listCollections", "dbStats"] });
const admin = db.getSiblingDB("admin");
const locapi = db.getSiblingDB("locapi");

function secret(name) {
  return fs.readFileSync(`/run/secrets/${name}`, "utf8").replace(/\n$/, "");
}

function logIn(database, user, file) {
  try {
    return database.auth(user, secret(file)).ok === 1;
  } catch (error) {
    if (error.codeName === "AuthenticationFailed") return false;
    throw error;
  }
}

function inOrder(list) {
  return JSON.stringify(
    list.map(({ resource, actions }) => [resource.db, resource.collection, ...[...actions].sort()]).sort(),
  );
}

function mayDoWhatItMust() {
  if (!logIn(locapi, "locapi", "mongodb_locapi_password")) return false;
  const status = locapi.runCommand({ connectionStatus: 1, showPrivileges: true });
  return inOrder(status.authInfo.authenticatedUserPrivileges) === inOrder(privileges);
}

function becomeRoot() {
  if (logIn(admin, "root", "mongodb_root_password")) return;
  try {
    // Whoever is on this host may make the first user, and only that.
    admin.createUser({ user: "root", pwd: secret("mongodb_root_password"), roles: ["root"] });
  } catch {
    throw new Error("the volume's root has another password than docker/secrets/mongodb_root_password");
  }
  admin.auth("root", secret("mongodb_root_password"));
}

function makeUser() {
  if (locapi.getRole("locapi")) locapi.updateRole("locapi", { privileges, roles: [] });
  else locapi.createRole({ role: "locapi", privileges, roles: [] });
  const user = { pwd: secret("mongodb_locapi_password"), roles: ["locapi"] };
  if (locapi.getUser("locapi")) locapi.updateUser("locapi", user);
  else locapi.createUser({ user: "locapi", ...user });
}

const names = (process.env.MEMBERS || "mongo").split(" ");

function makeSet() {
  const members = names.map((name, _id) => ({ _id, host: `${name}:27017` }));
  // Elections begin after half the usual time: phones wait for them.
  rs.initiate({ _id: "rs0", members, settings: { electionTimeoutMillis: 5000 } });
}

const hello = db.hello();
if (!hello.isWritablePrimary && !hello.secondary) {
  if (!hello.setName && os.hostname() === names[0]) makeSet();
  quit(1);
}
if (!mayDoWhatItMust()) {
  if (hello.secondary) quit(1);
  becomeRoot();
  makeUser();
}
